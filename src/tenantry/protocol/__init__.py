"""AWS's wire formats, driven by botocore's service models. The way in and out is `wire.Protocol`; see there for the calls.

    wire.py          which service, protocol and operation; the object the edge uses
    plan.py          one compiled plan per operation: parse, validate, serialise
    route.py         operations of rest services by path
    parse.py         requests to parameters           serialize.py    results to responses
    bindings.py      path, query string, headers      errors.py       errors to responses
    trees.py, xml.py, query.py, cbor.py, scalars.py   the encodings
    eventstream.py   event streams                    chunked.py      aws-chunked uploads
    validate.py      parameters held to the model     patterns.py     Java's patterns in Python
    sigv4.py         signatures                       dialect.py      how each service words its refusals
    model.py         the models

Nothing here knows what an operation does; nothing elsewhere knows how it looks on the wire.
"""
