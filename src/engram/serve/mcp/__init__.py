"""The memory as a Model Context Protocol server: tools, resources and prompts for a model's client.

The same calls serve both transports. On standard input and output the options say whose memory it is; over
HTTP the key does, and every call passes the guard. Only `server`, `endpoint` and `stdio` load the SDK.
"""

__all__: list[str] = []
