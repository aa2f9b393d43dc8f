"""What runs inside a sandbox, before and beside user code.

    launcher -> reaper (pid 1) -> zygote (pid 2)        zygote.py: one per function version and configuration
                                    `-> keeper (pid 1)  keeper.py: one per execution environment; seals it, then waits
                                          `-> runtime   bootstrap.py: the runtime interface client and the user's handler

Standard library, awslambdaric and `tenantry.linux` (itself standard library only) - nothing else may be imported here. All
modules are loaded before the zygote gives up the host's file system; none of them can be reached from inside an environment.
"""
