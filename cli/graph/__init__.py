"""The live page's drawing of one moment as a file: of clusters as they are, or of the settings before."""
