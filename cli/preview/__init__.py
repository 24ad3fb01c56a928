"""Who would serve whom after the next `up`, by the code of the gateways. Nothing is asked of any cluster."""
