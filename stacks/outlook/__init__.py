"""Who would serve whom by the settings, with pods assumed, as the gateways would have it."""
