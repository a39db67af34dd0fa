"""One ONNX graph under construction; knows ONNX operators and names, no architecture.

Nodes carry the checkpoint's own module paths (``layers.2.blocks.0.attn.qkv/MatMul``), so that a
profile, a precision list or a Q/DQ pass can speak of layers by the names their authors gave them.
The bytes of a saved graph depend on nothing but the weights and this package: no versions, no
dates, no library defaults are written into it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgesam.errors import ExportError
from edgesam_export.graphs.data_file import external, write_data_file
from edgesam_export.graphs.weights import Promise, Weights

OPSET = 20  # Gelu is an operator since 20; ONNX Runtime 1.17, OpenVINO 2024, TensorRT 10 read it
IR_VERSION = 9

FLOAT = ir.DataType.FLOAT
INT32 = ir.DataType.INT32
INT64 = ir.DataType.INT64

Dim = int | str

# Weights of more bytes than this lie beside the graph's file, all but the smallest.
_INLINE = 64 << 20
_SMALL = 4096


class Net:
    """A graph being written, layer by layer, from the weights of one checkpoint.

    Args:
        name: of the graph.
        weights: of the checkpoint, by its own keys.
        prefix: of the checkpoint's keys that this graph uses (``image_encoder.``).

    Attributes:
        outputs: the graph's, in order.
    """

    def __init__(self, name: str, weights: Weights, prefix: str = "") -> None:
        self.name = name
        self._weights = weights
        self._prefix = prefix
        self._scope: list[str] = []
        self._inputs: list[ir.Value] = []
        self.outputs: list[ir.Value] = []
        self._nodes: list[ir.Node] = []
        self._constants: dict[str, ir.Value] = {}
        self._promises: dict[str, Promise] = {}
        self._used: dict[str, int] = {}

    @contextmanager
    def scope(self, name: str) -> Iterator[None]:
        """Everything inside belongs to the module of that name."""
        self._scope.append(name)
        yield
        self._scope.pop()

    def _path(self, name: str = "") -> str:
        return ".".join([*self._scope, name] if name else self._scope)

    # Values

    def input(self, name: str, dtype: ir.DataType, shape: Sequence[Dim]) -> ir.Value:
        """A graph input; a string in the shape is a size chosen at run time."""
        value = ir.Value(name=name, type=ir.TensorType(dtype), shape=ir.Shape(shape))
        self._inputs.append(value)
        return value

    def weight(self, name: str, *shape: int) -> NDArray[np.float32]:
        """The checkpoint's tensor of that name inside the current scope, read now."""
        return self.promise(name, *shape).read()

    def promise(self, name: str, *shape: int) -> Promise:
        """The checkpoint's tensor of that name inside the current scope, read when it is saved.

        Args:
            name: of the tensor, as the current module calls it.
            shape: what it must be: numpy would broadcast or concatenate many a wrong one.
        """
        return self._weights.take(self._prefix + self._path(name), shape)

    def fault(self, name: str, what: str) -> ExportError:
        """The error that says what is wrong with the checkpoint's tensor of that name."""
        return ExportError(f"the tensor {self._prefix}{self._path(name)} {what}")

    def constant(self, name: str, array: NDArray[Any] | Promise) -> ir.Value:
        """An initializer of the current scope; asking again for the same name gives it again."""
        return self.shared(self._path(name), array)

    def shared(self, name: str, array: NDArray[Any] | Promise) -> ir.Value:
        """An initializer of no module; asking again for the same name gives it again."""
        if name in self._constants:
            return self._constants[name]
        if isinstance(array, Promise):
            self._promises[name] = array
            type_ = ir.TensorType(ir.DataType.from_numpy(np.dtype(array.dtype)))
            value = ir.Value(name=name, type=type_, shape=ir.Shape(array.shape))
        else:
            tensor = ir.Tensor(np.array(array, order="C"), name=name)
            value = ir.Value(
                name=name, type=ir.TensorType(tensor.dtype), shape=tensor.shape, const_value=tensor
            )
        self._constants[name] = value
        return value

    def ints(self, values: Sequence[int]) -> ir.Value:
        """A small int64 vector: a shape, axes, pads."""
        return self.shared(f"ints[{','.join(map(str, values))}]", np.array(values, np.int64))

    def scalar(self, value: float) -> ir.Value:
        """A float32 scalar."""
        return self.shared(f"scalar[{value!r}]", np.array(value, np.float32))

    # Operators

    def op(self, op_type: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """One ONNX node and its only output."""
        return self.ops(op_type, 1, *inputs, **attributes)[0]

    def ops(
        self, op_type: str, outputs: int, *inputs: ir.Value | None, **attributes: Any
    ) -> tuple[ir.Value, ...]:
        """One ONNX node and its outputs."""
        path = self._path()
        base = f"{path}/{op_type}" if path else op_type
        count = self._used[base] = self._used.get(base, 0) + 1
        name = base if count == 1 else f"{base}_{count}"
        names = [name] if outputs == 1 else [f"{name}:{i}" for i in range(outputs)]
        node = ir.Node(
            "",
            op_type,
            inputs,
            attributes=ir.convenience.convert_attributes(attributes),
            outputs=[ir.Value(name=output) for output in names],
            name=name,
        )
        self._nodes.append(node)
        return tuple(node.outputs)

    def add(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.op("Add", a, b)

    def mul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.op("Mul", a, b)

    def matmul(self, a: ir.Value, b: ir.Value) -> ir.Value:
        return self.op("MatMul", a, b)

    def reshape(self, x: ir.Value, *shape: int) -> ir.Value:
        """0 keeps a dimension, -1 takes what is left."""
        return self.op("Reshape", x, self.ints(shape))

    def transpose(self, x: ir.Value, *perm: int) -> ir.Value:
        return self.op("Transpose", x, perm=list(perm))

    def gelu(self, x: ir.Value) -> ir.Value:
        return self.op("Gelu", x)

    def relu(self, x: ir.Value) -> ir.Value:
        return self.op("Relu", x)

    def softmax(self, x: ir.Value) -> ir.Value:
        return self.op("Softmax", x, axis=-1)

    # Layers, by the name of the module that holds their weights

    def linear(self, x: ir.Value, name: str, inputs: int, outputs: int) -> ir.Value:
        """``torch.nn.Linear``: (..., inputs) -> (..., outputs)."""
        with self.scope(name):
            x = self.matmul(x, self.constant("weight", self.promise("weight", outputs, inputs).T))
            return self.add(x, self.constant("bias", self.promise("bias", outputs)))

    def layer_norm(self, x: ir.Value, name: str, width: int, eps: float = 1e-5) -> ir.Value:
        """``torch.nn.LayerNorm`` over the last axis, of that width."""
        with self.scope(name):
            return self.op(
                "LayerNormalization",
                x,
                self.constant("weight", self.promise("weight", width)),
                self.constant("bias", self.promise("bias", width)),
                axis=-1,
                epsilon=eps,
            )

    def conv(
        self,
        x: ir.Value,
        name: str,
        weight: NDArray[np.float32] | Promise,
        bias: NDArray[np.float32] | Promise | None,
        *,
        stride: int = 1,
        pad: int = 0,
        groups: int = 1,
    ) -> ir.Value:
        """A convolution of (N, C, H, W) with given weights of (out, in / groups, k, k)."""
        with self.scope(name):
            return self.op(
                "Conv",
                x,
                self.constant("weight", weight),
                *([] if bias is None else [self.constant("bias", bias)]),
                kernel_shape=list(weight.shape[2:]),
                strides=[stride, stride],
                pads=[pad, pad, pad, pad],
                group=groups,
            )

    def attention(
        self, q: ir.Value, k: ir.Value, v: ir.Value, bias: ir.Value | None = None
    ) -> ir.Value:
        """softmax(q k + bias) v, on q (..., N, d) already scaled, k (..., d, M), v (..., M, d)."""
        scores = self.matmul(q, k)
        if bias is not None:
            scores = self.add(scores, bias)
        return self.matmul(self.softmax(scores), v)

    # Changes to what has been built

    @property
    def nodes(self) -> tuple[ir.Node, ...]:
        """All of them, in an order in which they can be computed."""
        return tuple(self._nodes)

    def holds(self, value: ir.Value | None) -> bool:
        """Whether a value is an initializer."""
        return value is not None and self._constants.get(value.name or "") is value

    def node(self, name: str) -> ir.Node | None:
        """The node of that name."""
        return next((node for node in self._nodes if node.name == name), None)

    @contextmanager
    def before(self, node: ir.Node) -> Iterator[None]:
        """What is built inside comes before a node instead of last."""
        at = self._nodes.index(node)
        self._nodes, after = self._nodes[:at], self._nodes[at:]
        yield
        self._nodes += after

    def promised(self, value: ir.Value) -> Promise:
        """What an initializer will hold when it is saved."""
        if (found := self._promises.get(value.name or "")) is not None:
            return found
        assert value.const_value is not None
        array = value.const_value.numpy()
        return Promise(array.shape, lambda: array)

    def read(self, value: ir.Value) -> NDArray[Any]:
        """The array of an initializer."""
        return self.promised(value).read()

    def write(self, value: ir.Value, array: NDArray[np.float32]) -> None:
        """Give an initializer another array of its shape."""
        assert value.name is not None
        self._promises.pop(value.name, None)
        value.const_value = ir.Tensor(np.array(array, order="C"), name=value.name)

    def forget(self, value: ir.Value) -> None:
        """Leave out an initializer that no node uses any more."""
        assert value.name is not None
        assert not value.uses()
        self._promises.pop(value.name, None)
        del self._constants[value.name]

    # The result

    def output(self, name: str, value: ir.Value, shape: Sequence[Dim]) -> None:
        """A graph output, float32."""
        value.name = name
        value.type = ir.TensorType(FLOAT)
        value.shape = ir.Shape(shape)
        self.outputs.append(value)

    def save(self, path: Path) -> Path | None:
        """Write the graph to a file.

        Returns:
            The file beside it that holds its weights, if they are too many to lie inside.

        Raises:
            ExportError: a weight has values that are not finite.
        """
        large = [n for n, p in self._promises.items() if p.nbytes > _SMALL]
        beside = None
        if sum(self._promises[name].nbytes for name in large) > _INLINE:
            beside, places = write_data_file(path, (self._promises[name] for name in large))
            for name, place in zip(large, places, strict=True):
                promise = self._promises.pop(name)
                self._constants[name].const_value = external(name, promise, beside, place)
        for name, promise in self._promises.items():
            array = np.array(promise.read(), order="C")
            self._constants[name].const_value = ir.Tensor(array, name=name)
        graph = ir.Graph(
            self._inputs,
            self.outputs,
            nodes=self._nodes,
            initializers=list(self._constants.values()),
            opset_imports={"": OPSET},
            name=self.name,
        )
        ir.save(ir.Model(graph, ir_version=IR_VERSION, producer_name="edgesam"), path)
        return beside


def attention_scale(head_width: int) -> float:
    """1 / sqrt(d): the factor of the scores, correctly rounded on every machine."""
    return float(np.float32(1.0 / math.sqrt(head_width)))
