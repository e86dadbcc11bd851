"""Recorders of steps for machines without a GPU."""

from __future__ import annotations


class EagerRecorder:
    """Repeats a step by running it, and notes what it is asked for.

    Like a graph, a replay leaves it to others to set the gradients of the parameters.
    """

    def __init__(self, *parameters):
        self.calls, self.parameters = [], parameters

    def warm_up(self, step):
        self.calls.append("warm up")
        return step()

    def record(self, step):
        self.calls.append("record")

        def replay():
            self.calls.append("replay")
            result = step()
            for parameter in self.parameters:
                parameter.grad = None
            return result

        return replay
