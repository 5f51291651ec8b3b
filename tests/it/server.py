# What the tests' own Python servers have in common: it stands before their code, in one file.
import json, os, signal, socket, subprocess, sys, time

def serve(tools, act=None):
    """Offers tools, and answers their calls with what `act(name)` returns, until its input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        if 'id' not in asked:
            continue
        answer = {'jsonrpc': '2.0', 'id': asked['id']}
        if asked['method'] == 'initialize':
            answer['result'] = {'protocolVersion': '2025-11-25', 'capabilities': {'tools': {}}, 'serverInfo': {'name': 'it', 'version': '1'}}
        elif asked['method'] == 'tools/list':
            answer['result'] = {'tools': [{'name': name, 'inputSchema': {'type': 'object'}} for name in tools]}
        elif asked['method'] == 'tools/call' and act:
            answer['result'] = {'content': [{'type': 'text', 'text': act(asked['params']['name'])}]}
        else:
            answer['error'] = {'code': -32601, 'message': 'unknown'}
        print(json.dumps(answer), flush=True)
