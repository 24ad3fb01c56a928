"""Tests in clusters that were there before, which are somebody else's."""
