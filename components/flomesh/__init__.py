"""FSM and osm-edge, the mesh that the article installs."""
