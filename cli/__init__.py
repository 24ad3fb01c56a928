"""The commands behind ./stack: prepare the machine, run the Pulumi engine, walk the demo."""
