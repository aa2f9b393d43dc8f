"""Amazon API Gateway, REST APIs (v1): the control plane that keeps them and the data plane that answers under their stages.

    service.ApiGatewayService    the operations (botocore's `apigateway`): records, rules, patches, OpenAPI import
    dataplane.DataPlane          one request to a stage: route, authorize, validate, map, invoke, answer

A deployment is a frozen copy of an API's parts (records.Snapshot). The data plane compiles it once per stage (plan.py) and
serves from the compiled form alone, so a change shows only after a new deployment, as on AWS (aws-behaviour 4.1).
"""
