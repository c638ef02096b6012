"""PyFlink's names: where they are, what their methods are called, and the stub of the engine."""

import ast
import enum
import functools
import importlib
import inspect
from pathlib import Path

import pytest

import headrace
from headrace import _core

# Module paths below `headrace` as PyFlink has them below `pyflink`, for what issue 3's API covers.
PLACES = {
    "common": """CompletableFuture Configuration Duration Encoder ExecutionConfig Instant JobClient JobExecutionResult
        JobID JobStatus RestartStrategies RestartStrategyConfiguration Row SimpleStringSchema Time TypeInformation Types
        WatermarkStrategy""",
    "common.configuration": "Configuration",
    "common.execution_config": "ExecutionConfig",
    "common.restart_strategy": "RestartStrategies RestartStrategyConfiguration",
    "common.serialization": "Encoder SimpleStringSchema",
    "common.time": "Duration Instant Time",
    "common.typeinfo": """BasicArrayTypeInfo BasicTypeInfo ListTypeInfo MapTypeInfo ObjectArrayTypeInfo
        PrimitiveArrayTypeInfo Row RowTypeInfo TupleTypeInfo TypeInformation Types""",
    "common.watermark_strategy": "TimestampAssigner WatermarkStrategy",
    "datastream": """AggregateFunction AllWindowedStream BroadcastConnectedStream BroadcastProcessFunction BroadcastStream
        KeyedBroadcastProcessFunction CoFlatMapFunction CoMapFunction ConnectedStreams CoProcessFunction
        KeyedCoProcessFunction CheckpointConfig CheckpointingMode DataStream DataStreamSink
        FilterFunction FlatMapFunction FsStateBackend Function HashMapStateBackend KeyedProcessFunction KeyedStream
        KeySelector MapFunction MemoryStateBackend OutputTag ProcessAllWindowFunction ProcessFunction
        ProcessWindowFunction ReduceFunction RuntimeContext SinkFunction SourceFunction StateBackend
        StreamExecutionEnvironment TimeDomain TimerService TimeWindow WindowedStream WindowFunction AllWindowFunction""",
    "datastream.checkpoint_config": "CheckpointConfig CheckpointingMode",
    "datastream.connectors": "FileSink FileSource NumberSequenceSource OutputFileConfig RollingPolicy StreamFormat",
    "datastream.connectors.file_system": "FileSink FileSource OutputFileConfig RollingPolicy StreamFormat",
    "datastream.connectors.number_seq": "NumberSequenceSource",
    "datastream.data_stream": "BroadcastConnectedStream BroadcastStream ConnectedStreams DataStream DataStreamSink KeyedStream",
    "datastream.functions": """AggregateFunction AllWindowFunction BroadcastProcessFunction
        CoFlatMapFunction CoMapFunction CoProcessFunction KeyedBroadcastProcessFunction
        KeyedCoProcessFunction FilterFunction FlatMapFunction Function
        KeyedProcessFunction KeySelector MapFunction ProcessAllWindowFunction ProcessFunction ProcessWindowFunction
        ReduceFunction RuntimeContext SinkFunction SourceFunction WindowFunction""",
    "datastream.output_tag": "OutputTag",
    "datastream.state": """AggregatingState AggregatingStateDescriptor AppendingState BroadcastState ListState
        ListStateDescriptor MapState MapStateDescriptor MergingState OperatorStateStore ReadOnlyBroadcastState
        ReducingState ReducingStateDescriptor State StateDescriptor StateTtlConfig ValueState ValueStateDescriptor""",
    "datastream.state_backend": """EmbeddedRocksDBStateBackend FsStateBackend HashMapStateBackend MemoryStateBackend
        RocksDBStateBackend StateBackend""",
    "datastream.stream_execution_environment": "StreamExecutionEnvironment",
    "datastream.time_domain": "TimeDomain",
    "datastream.timerservice": "TimerService",
    "datastream.window": "SlidingEventTimeWindows TimeWindow TumblingEventTimeWindows",
}  # fmt: skip
# Beyond PyFlink (documents and design), on `headrace` as well.
OWN = """CheckpointedFunction DiskStateBackend FunctionInitializationContext FunctionSnapshotContext KeyedStateStore
    MapFunctionWithState Avg CollectList Count First Last Max MaxBy Min MinBy RichAggregateFunction StdDev Sum TimeWindows TopK Var
    key_group register_class task_of"""
NOT_ON_TOP = {"AppendingState", "BasicArrayTypeInfo", "BasicTypeInfo", "ListTypeInfo", "MapTypeInfo", "MergingState",
              "ObjectArrayTypeInfo", "PrimitiveArrayTypeInfo", "State", "StateDescriptor"}  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_names_are_where_pyflink_has_them_and_on_headrace(place):
    module = importlib.import_module(f"headrace.{place}")
    for name in PLACES[place].split():
        there = getattr(module, name)
        if name not in NOT_ON_TOP:
            assert getattr(headrace, name) is there
            assert name in headrace.__all__
        assert inspect.getdoc(there)


def test_own_names_are_on_headrace_and_every_listed_name_exists():
    assert all(hasattr(headrace, name) for name in OWN.split())
    assert all(hasattr(headrace, name) for name in headrace.__all__)
    assert len(set(headrace.__all__)) == len(headrace.__all__)


# Signatures from PyFlink 2.3, written down by hand: parameters in order, defaults as Python writes them. Parameters
# that headrace adds come after a "*" or after PyFlink's, and are not listed.
SIGNATURES = {
    "StreamExecutionEnvironment": """
        get_execution_environment(configuration=None)
        from_collection(collection, type_info=None)
        from_source(source, watermark_strategy, source_name, type_info=None)
        add_source(source_func, source_name='Custom Source', type_info=None)
        read_text_file(file_path, charset_name='UTF-8')
        execute(job_name=None)
        execute_async(job_name)
        get_execution_plan()
        close()
        set_parallelism(parallelism)
        get_parallelism()
        set_max_parallelism(max_parallelism)
        get_max_parallelism()
        set_buffer_timeout(timeout_millis)
        get_buffer_timeout()
        disable_operator_chaining()
        is_chaining_enabled()
        enable_checkpointing(interval, mode=None)
        get_checkpoint_config()
        get_checkpoint_interval()
        get_checkpointing_mode()
        get_config()
        configure(configuration)
        set_state_backend(state_backend)
        get_state_backend()
        set_restart_strategy(restart_strategy)
        get_restart_strategy()
        add_jars(*jars_path)""",
    "DataStream": """
        map(func, output_type=None)
        flat_map(func, output_type=None)
        filter(func)
        process(func, output_type=None)
        project(*field_indexes)
        union(*streams)
        key_by(key_selector, key_type=None)
        window_all(window_assigner)
        assign_timestamps_and_watermarks(watermark_strategy)
        get_side_output(output_tag)
        connect(ds)
        shuffle()
        rebalance()
        rescale()
        forward()
        broadcast(broadcast_state_descriptor=None, *other_broadcast_state_descriptors)
        print(sink_identifier=None)
        sink_to(sink)
        add_sink(sink_func)
        execute_and_collect(job_execution_name=None, limit=None)
        name(name)
        get_name()
        uid(uid)
        set_parallelism(parallelism)
        set_max_parallelism(max_parallelism)
        force_non_parallel()
        set_buffer_timeout(timeout_millis)
        start_new_chain()
        disable_chaining()
        set_description(description)
        get_type()
        get_execution_environment()""",
    "DataStreamSink": """
        name(name)
        uid(uid)
        set_parallelism(parallelism)
        set_description(description)
        disable_chaining()""",
    "KeyedStream": """
        map(func, output_type=None)
        flat_map(func, output_type=None)
        filter(func)
        process(func, output_type=None)
        reduce(func)
        sum(position_to_sum=0)
        min(position_to_min=0)
        max(position_to_max=0)
        min_by(position_to_min_by=0)
        max_by(position_to_max_by=0)
        window(window_assigner)
        key_by(key_selector, key_type=None)
        union(*streams)
        print(sink_identifier=None)
        add_sink(sink_func)""",
    "WindowedStream": """
        allowed_lateness(time_ms)
        side_output_late_data(output_tag)
        reduce(reduce_function, window_function=None, output_type=None)
        aggregate(aggregate_function, window_function=None, accumulator_type=None, output_type=None)
        apply(window_function, output_type=None)
        process(process_window_function, output_type=None)
        get_execution_environment()
        get_input_type()""",
    "WatermarkStrategy": """
        for_monotonous_timestamps()
        for_bounded_out_of_orderness(max_out_of_orderness)
        no_watermarks()
        with_timestamp_assigner(timestamp_assigner)
        with_idleness(idle_timeout)""",
    "TimestampAssigner": "extract_timestamp(value, record_timestamp)",
    "MapFunction": "open(runtime_context)\nclose()\nmap(value)",
    "FlatMapFunction": "flat_map(value)",
    "FilterFunction": "filter(value)",
    "ReduceFunction": "reduce(value1, value2)",
    "KeySelector": "get_key(value)",
    "AggregateFunction": """
        create_accumulator()
        add(value, accumulator)
        get_result(accumulator)
        merge(acc_a, acc_b)""",
    "ProcessFunction": "process_element(value, ctx)",
    "KeyedProcessFunction": "process_element(value, ctx)\non_timer(timestamp, ctx)",
    "WindowFunction": "apply(key, window, inputs)",
    "AllWindowFunction": "apply(window, inputs)",
    "ProcessWindowFunction": "process(key, context, elements)\nclear(context)",
    "ProcessAllWindowFunction": "process(context, elements)\nclear(context)",
    "RuntimeContext": """
        get_task_name()
        get_task_name_with_subtasks()
        get_number_of_parallel_subtasks()
        get_max_number_of_parallel_subtasks()
        get_index_of_this_subtask()
        get_attempt_number()
        get_job_parameter(key, default_value)
        get_metrics_group()
        get_state(state_descriptor)
        get_list_state(state_descriptor)
        get_map_state(state_descriptor)
        get_reducing_state(state_descriptor)
        get_aggregating_state(state_descriptor)""",
    "TimerService": """
        current_processing_time()
        current_watermark()
        register_processing_time_timer(timestamp)
        register_event_time_timer(timestamp)
        delete_processing_time_timer(timestamp)
        delete_event_time_timer(timestamp)""",
    "ConnectedStreams": """
        key_by(key_selector1, key_selector2, key_type=None)
        map(func, output_type=None)
        flat_map(func, output_type=None)
        process(func, output_type=None)""",
    "CoMapFunction": "map1(value)\nmap2(value)",
    "CoFlatMapFunction": "flat_map1(value)\nflat_map2(value)",
    "CoProcessFunction": "process_element1(value, ctx)\nprocess_element2(value, ctx)",
    "KeyedCoProcessFunction": """
        process_element1(value, ctx)
        process_element2(value, ctx)
        on_timer(timestamp, ctx)""",
    "BroadcastConnectedStream": "process(func, output_type=None)",
    "BroadcastProcessFunction": "process_element(value, ctx)\nprocess_broadcast_element(value, ctx)",
    "KeyedBroadcastProcessFunction": """
        process_element(value, ctx)
        process_broadcast_element(value, ctx)
        on_timer(timestamp, ctx)""",
    "CheckpointedFunction": "snapshot_state(context)\ninitialize_state(context)",
    "ValueStateDescriptor": "__init__(name, value_type_info)\nget_name()\nenable_time_to_live(ttl_config)",
    "ListStateDescriptor": "__init__(name, elem_type_info)\nget_name()\nenable_time_to_live(ttl_config)",
    "MapStateDescriptor": """
        __init__(name, key_type_info, value_type_info)
        get_name()
        enable_time_to_live(ttl_config)""",
    "ReducingStateDescriptor": "__init__(name, reduce_function, type_info)\nget_name()\nenable_time_to_live(ttl_config)",
    "AggregatingStateDescriptor": "__init__(name, agg_function, state_type_info)\nget_name()\nenable_time_to_live(ttl_config)",
    "ReducingState": "get()\nadd(value)\nclear()",
    "AggregatingState": "get()\nadd(value)\nclear()",
    "ValueState": "value()\nupdate(value)\nclear()",
    "ListState": "get()\nadd(value)\nadd_all(values)\nupdate(values)\nclear()",
    "MapState": """
        get(key)
        put(key, value)
        put_all(dict_value)
        remove(key)
        contains(key)
        items()
        keys()
        values()
        is_empty()
        clear()""",
    "ReadOnlyBroadcastState": "get(key)\ncontains(key)\nitems()\nkeys()\nvalues()\nis_empty()",
    "BroadcastState": """
        get(key)
        put(key, value)
        put_all(dict_value)
        remove(key)
        contains(key)
        items()
        keys()
        values()
        is_empty()
        clear()""",
    "StateTtlConfig": """
        new_builder(ttl)
        get_update_type()
        get_state_visibility()
        get_ttl()
        get_ttl_time_characteristic()
        is_enabled()
        get_cleanup_strategies()""",
    "StateTtlConfig.Builder": """
        __init__(ttl)
        set_update_type(update_type)
        update_ttl_on_create_and_write()
        update_ttl_on_read_and_write()
        set_state_visibility(state_visibility)
        return_expired_if_not_cleaned_up()
        never_return_expired()
        set_ttl_time_characteristic(ttl_time_characteristic)
        use_processing_time()
        cleanup_full_snapshot()
        cleanup_incrementally(cleanup_size, run_cleanup_for_every_record)
        cleanup_in_rocksdb_compact_filter(query_time_after_num_entries, periodic_compaction_time=None)
        disable_cleanup_in_background()
        set_ttl(ttl)
        build()""",
    "StateTtlConfig.CleanupStrategies": """
        is_cleanup_in_background()
        in_full_snapshot()
        get_incremental_cleanup_strategy()
        get_rocksdb_compact_filter_cleanup_strategy()""",
    "TumblingEventTimeWindows": "of(size, offset=None)",
    "SlidingEventTimeWindows": "of(size, slide, offset=None)",
    "TimeWindow": """
        __init__(start, end)
        max_timestamp()
        intersects(other)
        cover(other)
        get_window_start_with_offset(timestamp, offset, window_size)""",
    "OutputTag": "__init__(tag_id, type_info=None)",
    "Time": """
        __init__(milliseconds)
        milliseconds(milliseconds)
        seconds(seconds)
        minutes(minutes)
        hours(hours)
        days(days)
        to_milliseconds()""",
    "Duration": "of_days(days)\nof_hours(hours)\nof_minutes(minutes)\nof_seconds(seconds)\nof_millis(millis)\nof_nanos(nanos)",
    "Instant": "__init__(seconds, nanos)\nof_epoch_milli(epoch_milli)\nto_epoch_milli()",
    "Configuration": """
        __init__(other=None, j_configuration=None)
        get_string(key, default_value)
        set_string(key, value)
        get_integer(key, default_value)
        set_integer(key, value)
        get_boolean(key, default_value)
        set_boolean(key, value)
        get_float(key, default_value)
        set_float(key, value)
        key_set()
        add_all(other, prefix=None)
        contains_key(key)
        to_dict()
        remove_config(key)""",
    "RestartStrategies": """
        no_restart()
        fall_back_restart()
        fixed_delay_restart(restart_attempts, delay_between_attempts)
        failure_rate_restart(failure_rate, failure_interval, delay_interval)""",
    "RowTypeInfo": "get_field_names()\nget_field_types()\nget_field_index(field_name)",
    "Types": """
        STRING()
        BYTE()
        BOOLEAN()
        SHORT()
        INT()
        LONG()
        FLOAT()
        DOUBLE()
        CHAR()
        BIG_INT()
        BIG_DEC()
        INSTANT()
        SQL_DATE()
        SQL_TIME()
        SQL_TIMESTAMP()
        PICKLED_BYTE_ARRAY()
        ROW(field_types)
        ROW_NAMED(field_names, field_types)
        TUPLE(field_types)
        PRIMITIVE_ARRAY(element_type)
        BASIC_ARRAY(element_type)
        OBJECT_ARRAY(element_type)
        MAP(key_type, value_type)
        LIST(element_type)""",
    "NumberSequenceSource": "__init__(start, end)",
    "FileSink": "for_row_format(base_path, encoder)",
    "FileSource": "for_record_stream_format(stream_format, *paths)",
    "StreamFormat": "text_line_format(charset_name='UTF-8')",
    "RollingPolicy": """
        default_rolling_policy(part_size=134217728, rollover_interval=60000, inactivity_interval=60000)
        on_checkpoint_rolling_policy()""",
    "Encoder": "simple_string_encoder(charset_name='UTF-8')",
    "SimpleStringSchema": "__init__(charset='UTF-8')",
    "JobClient": "get_job_id()\nget_job_status()\ncancel()\nget_job_execution_result()",
    "JobExecutionResult": "get_job_id()\nget_net_runtime()",
    "CheckpointConfig": """
        is_checkpointing_enabled()
        get_checkpointing_mode()
        set_checkpointing_mode(checkpointing_mode)
        get_checkpoint_interval()
        set_checkpoint_interval(checkpoint_interval)
        get_checkpoint_timeout()
        set_checkpoint_timeout(checkpoint_timeout)
        get_min_pause_between_checkpoints()
        set_min_pause_between_checkpoints(min_pause)
        get_tolerable_checkpoint_failure_number()
        set_tolerable_checkpoint_failure_number(number)
        set_checkpoint_storage_dir(checkpoint_path)""",
    "ExecutionConfig": """
        set_parallelism(parallelism)
        get_parallelism()
        set_max_parallelism(max_parallelism)
        get_max_parallelism()
        enable_object_reuse()
        disable_object_reuse()
        is_object_reuse_enabled()
        set_auto_watermark_interval(interval)
        get_auto_watermark_interval()
        set_global_job_parameters(parameters)
        get_global_job_parameters()""",
}  # fmt: skip


def split_signature(line):
    """("map", {"func": no default, "output_type": None}) of "map(func, output_type=None)"."""
    name, inside = line.rstrip(")").split("(", 1)
    arguments = ast.parse(f"def f({inside}): ...").body[0].args
    names = [a.arg for a in arguments.args]
    defaults = [inspect.Parameter.empty] * (len(names) - len(arguments.defaults))
    defaults += [ast.literal_eval(d) for d in arguments.defaults]
    if arguments.vararg:
        names, defaults = [*names, f"*{arguments.vararg.arg}"], [*defaults, inspect.Parameter.empty]
    return name, dict(zip(names, defaults, strict=True))


@pytest.mark.parametrize("class_name", SIGNATURES)
def test_methods_and_defaults_are_pyflinks(class_name):
    cls = functools.reduce(getattr, class_name.split("."), headrace)
    for line in SIGNATURES[class_name].split("\n"):
        if not line.strip():
            continue
        name, wanted = split_signature(line.strip())
        method = getattr(cls, name)
        found = {
            ("*" if p.kind == p.VAR_POSITIONAL else "") + p.name: p.default
            for p in inspect.signature(method).parameters.values()
            if p.name != "self"
        }
        assert list(found)[: len(wanted)] == list(wanted), f"{class_name}.{name}{inspect.signature(method)}"
        for parameter, default in wanted.items():
            if default is not inspect.Parameter.empty:
                assert found[parameter] == default, f"{class_name}.{name}: {parameter}"
        # What headrace adds must not be needed by a PyFlink program.
        assert all(
            default is not inspect.Parameter.empty
            for parameter, default in found.items()
            if parameter not in wanted and not parameter.startswith("*")
        )
        assert name == "__init__" or inspect.getdoc(method), f"{class_name}.{name} has no docstring"


# Operators of the handles that user code holds, beside the methods that the protocols name.
OPERATORS = {
    "ListState": "__iter__",
    "MapState": "__getitem__ __setitem__ __delitem__ __contains__ __iter__",
    "ReadOnlyBroadcastState": "__getitem__ __contains__ __iter__",
    "BroadcastState": "__getitem__ __setitem__ __delitem__ __contains__ __iter__",
}


@pytest.mark.parametrize(
    "class_name",
    [
        "ValueState",
        "ListState",
        "MapState",
        "ReducingState",
        "AggregatingState",
        "ReadOnlyBroadcastState",
        "BroadcastState",
    ],
)
def test_handles_of_the_engine_have_what_their_classes_say(class_name):
    handle, exported = getattr(_core, class_name), getattr(headrace, class_name)
    assert issubclass(handle, exported)
    names = [split_signature(line.strip())[0] for line in SIGNATURES[class_name].split("\n") if line.strip()]
    assert all(callable(getattr(handle, name)) for name in [*names, *OPERATORS.get(class_name, "").split()])


def test_generic_classes_can_be_subscripted():
    class Mine(headrace.ProcessWindowFunction[tuple, tuple, str, headrace.TimeWindow]):
        def process(self, key, context, elements):
            return []

    assert isinstance(Mine(), headrace.ProcessWindowFunction)
    assert headrace.ProcessWindowFunction.Context[headrace.TimeWindow]
    assert headrace.KeyedProcessFunction.Context
    assert headrace.KeyedProcessFunction.OnTimerContext
    assert issubclass(headrace.JobStatus, enum.Enum)


# ---- the engine's stub

STUB = Path(headrace.__file__).parent / "_core.pyi"


def stub_names():
    """{name: members of a class, or None for anything else} as the stub has them."""
    names = {}
    for node in ast.parse(STUB.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names[node.name] = {
                item.name if isinstance(item, ast.FunctionDef) else item.target.id
                for item in node.body
                if isinstance(item, ast.FunctionDef | ast.AnnAssign)
            }
        elif isinstance(node, ast.FunctionDef):
            names[node.name] = None
        elif isinstance(node, ast.AnnAssign):
            names[node.target.id] = None
    return names


def test_stub_lists_what_the_engine_has():
    stub = stub_names()
    private = {"TypeDesc"}
    there = {name for name in dir(_core) if not name.startswith("__")} | {"__version__"}
    assert set(stub) - private == there
    for name, members in stub.items():
        cls = getattr(_core, name, None)
        if members is None or issubclass(cls, BaseException):
            continue
        public = {m for m in dir(cls) if not m.startswith("_")}
        assert {m for m in members if not m.startswith("_")} == public, name
        assert all(hasattr(cls, member) for member in members - {"__getattr__"}), name
