"""The asyncio edge: sockets, pools, timers and listeners around the decisions of `gateway.core`."""
