"""The gateway's sockets: the only code that uses asyncio directly."""
