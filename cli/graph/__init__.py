"""The topology as a picture: a model from settings or clusters, a layout, and SVG. Pure."""
