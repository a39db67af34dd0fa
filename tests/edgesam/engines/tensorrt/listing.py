"""Which of the names that edgesam calls a TensorRT has: prints one entry of names.json.

``python tests/edgesam/engines/tensorrt/listing.py MODULE``, MODULE being ``tensorrt_rtx``, or
``tensorrt_bindings`` of the wheels tensorrt_cu12_bindings 10.x and tensorrt_cu13_bindings 11.x,
which the package index has. They import without TensorRT's libraries if three stand in for them, of
nine functions that return nothing (10 or 11 in their names, as the wheel's version is):

    for n in createInferBuilder_INTERNAL createInferRuntime_INTERNAL createInferRefitter_INTERNAL \
        getBuilderPluginRegistry getPluginRegistry createNvOnnxParser_INTERNAL \
        createNvOnnxParserRefitter_INTERNAL getNvOnnxParserVersion initLibNvInferPlugins; do
        echo "void *$n(void) { return 0; }"; done > stub.c
    for l in nvinfer nvinfer_plugin nvonnxparser; do
        gcc -shared -fPIC -Wl,-soname,lib$l.so.11 -o lib$l.so.11 stub.c; done
    LD_LIBRARY_PATH=. PYTHONPATH=UNPACKED_WHEEL python listing.py tensorrt_bindings
"""

import importlib
import json
import sys
import warnings

# Class (or "" for the module itself) -> what edgesam calls of it.
BOTH = {
    "": [
        "__version__",
        "Builder",
        "BuilderFlag",
        "EngineInspector",
        "ICudaEngine",
        "IExecutionContext",
        "ILogger",
        "IProgressMonitor",
        "LayerInformationFormat",
        "NetworkDefinitionCreationFlag",
        "OnnxParser",
        "ProfilingVerbosity",
        "Runtime",
        "TensorIOMode",
    ],
    "Builder": [
        "build_serialized_network",
        "create_builder_config",
        "create_network",
        "create_optimization_profile",
    ],
    "BuilderFlag": ["TF32"],
    "DataType": ["BF16", "FLOAT", "FP8", "HALF", "INT32", "INT4", "INT64", "INT8", "UINT8"],
    "EngineInspector": ["get_engine_information"],
    "IBuilderConfig": [
        "add_optimization_profile",
        "clear_flag",
        "profiling_verbosity",
        "progress_monitor",
    ],
    "ICudaEngine": [
        "create_engine_inspector",
        "create_execution_context",
        "get_tensor_dtype",
        "get_tensor_mode",
        "get_tensor_name",
        "num_io_tensors",
    ],
    "IExecutionContext": [
        "execute_async_v3",
        "get_tensor_shape",
        "set_input_shape",
        "set_tensor_address",
    ],
    "ILayer": ["get_input", "get_output", "name", "num_inputs", "num_outputs", "type"],
    "ILogger": ["ERROR", "INTERNAL_ERROR", "WARNING", "log"],
    "INetworkDefinition": ["get_input", "get_layer", "num_inputs", "num_layers", "num_outputs"],
    "IOptimizationProfile": ["set_shape"],
    "IProgressMonitor": ["phase_finish", "phase_start", "step_complete"],
    "ITensor": ["dtype", "name", "shape"],
    "LayerInformationFormat": ["JSON"],
    "LayerType": [
        "CONVOLUTION",
        "DECONVOLUTION",
        "EINSUM",
        "MATRIX_MULTIPLY",
        "NORMALIZATION",
        "QUANTIZE",
        "SOFTMAX",
    ],
    "NetworkDefinitionCreationFlag": ["STRONGLY_TYPED"],
    "OnnxParser": ["get_error", "num_errors", "parse_from_file"],
    "ParserError": ["desc", "node", "node_name"],
    "ProfilingVerbosity": ["DETAILED"],
    "Runtime": ["deserialize_cuda_engine"],
    "TensorIOMode": ["INPUT", "OUTPUT"],
}
CLASSIC = {
    "IBuilderConfig": ["create_timing_cache", "set_timing_cache"],
    "ITimingCache": ["serialize"],
}
RTX = {
    "": ["ComputeCapability", "CudaGraphStrategy", "EngineInvalidityDiagnostics", "EngineValidity"],
    "ComputeCapability": ["CURRENT", "SM75", "SM86"],
    "EngineInvalidityDiagnostics": ["UNSUPPORTED_CC"],
    "EngineValidity": ["INVALID"],
    "IBuilderConfig": ["num_compute_capabilities", "set_compute_capability"],
    "ICudaEngine": ["create_runtime_config"],
    "IRuntimeCache": ["deserialize", "serialize"],
    "CudaGraphStrategy": ["WHOLE_GRAPH_CAPTURE"],
    "IRuntimeConfig": ["create_runtime_cache", "cuda_graph_strategy", "set_runtime_cache"],
    "Runtime": ["get_engine_validity"],
}


def listing(module: object) -> dict[str, list[str]]:
    """What is there of all that is called."""
    found: dict[str, list[str]] = {}
    for table in (BOTH, CLASSIC, RTX):
        for name, members in table.items():
            owner = getattr(module, name, None) if name else module
            there = [member for member in members if hasattr(owner, member)]
            found[name] = sorted({*found.get(name, []), *there})
    return dict(sorted(found.items()))


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        imported = importlib.import_module(sys.argv[1])
    sys.stdout.write(json.dumps({imported.__version__: listing(imported)}) + "\n")
