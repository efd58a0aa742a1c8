"""The embedded scheduler as an HTTP server that speaks the API of a Pixyz Scheduler.

Imports Starlette, uvicorn, python-multipart, prometheus-client and the embedded package; nothing of
ours imports it but the command that starts it. Invariant: paths, fields, state names and status
codes are the real server's; its faults are not.
"""
