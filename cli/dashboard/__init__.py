"""The live page: readings of every cluster, a frame made of them, and a server of frames on loopback."""
