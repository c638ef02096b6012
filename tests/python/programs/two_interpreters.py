"""A job in a process that has had a second interpreter, which switches some of CPython's checks off."""

try:
    import _interpreters as interpreters  # Python 3.13
except ImportError:
    import _xxsubinterpreters as interpreters

from headrace import SourceFunction, StreamExecutionEnvironment

ROWS = 20_000


class Numbers(SourceFunction):
    def run(self, ctx):
        for value in range(ROWS):
            ctx.collect([value])


interpreters.destroy(interpreters.create())
env = StreamExecutionEnvironment.get_execution_environment()
stream = env.add_source(Numbers()).map(lambda item: [*item, 1]).map(lambda item: item[0])
with stream.execute_and_collect() as rows:
    print(sum(rows) == sum(range(ROWS)))
