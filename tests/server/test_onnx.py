"""Exported ONNX files: checked by the onnx package, then computed node by node with numpy, in f64, from
the operators' definitions; the forecast must be the one the model gives. Where node finds the package
onnxruntime-node (NODE_PATH), that program computes them too."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnx.numpy_helper
except ImportError:  # Debian's packages belong to Debian's python
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3", __file__])

HERE = pathlib.Path(__file__).resolve().parent
PLASTINKA = os.environ.get("PLASTINKA", str(HERE.parents[1] / "build" / "plastinka"))
# f32 sums of some hundred terms against f64, and against other f32: measured 2e-7 of the largest value
TOLERANCE = 2e-6
JS = """
const ort = require('onnxruntime-node'), fs = require('fs');
(async () => {
  const job = JSON.parse(fs.readFileSync(0)), s = await ort.InferenceSession.create(job.file), feed = {};
  for (const [k, v] of Object.entries(job.inputs)) feed[k] = new ort.Tensor('float32', v.data, v.dims);
  const y = (await s.run(feed)).forecast;
  console.log(JSON.stringify({dims: y.dims, data: Array.from(y.data)}));
})();
"""


def compute(model, inputs):
    values = {k: v.astype(np.float64) for k, v in inputs.items()}
    for t in model.graph.initializer:
        a = onnx.numpy_helper.to_array(t)
        values[t.name] = a if a.dtype == np.int64 else a.astype(np.float64)
    for node in model.graph.node:
        x = [values[n] for n in node.input]
        how = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        values.update(zip(node.output, operator(node.op_type, x, how)))
    return values["forecast"]


def operator(op, x, how):
    if op == "Identity":
        return [x[0]]
    if op in ("Add", "Sub", "Mul", "Div"):
        return [{"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide}[op](*x)]
    if op in ("Log", "Exp", "Sqrt"):
        return [{"Log": np.log, "Exp": np.exp, "Sqrt": np.sqrt}[op](x[0])]
    if op == "Relu":
        return [np.maximum(x[0], 0)]
    if op == "Gemm":
        assert how == {"transB": 1}
        return [x[0] @ x[1].T + x[2]]
    if op == "Concat":
        return [np.concatenate(x, how["axis"])]
    if op == "Transpose":
        return [np.transpose(x[0], how["perm"])]
    if op == "Reshape":
        return [np.reshape(x[0], x[1])]
    if op == "Slice":
        at = [slice(None)] * x[0].ndim
        for a, b, axis in zip(x[1], x[2], x[3]):
            at[axis] = slice(a, b)
        return [x[0][tuple(at)]]
    if op == "ReduceMean":
        return [x[0].mean(axis=tuple(how["axes"]), keepdims=True)]
    if op == "LayerNormalization":
        mean = x[0].mean(axis=how["axis"], keepdims=True)
        var = ((x[0] - mean) ** 2).mean(axis=how["axis"], keepdims=True)
        return [(x[0] - mean) / np.sqrt(var + how["epsilon"]) * x[1] + x[2]]
    if op == "TopK":
        assert how == {"largest": 0} and x[1][0] == x[0].shape[-1]
        return [np.sort(x[0]), np.argsort(x[0])]
    raise AssertionError(f"{op} is no operator of ours")


def runtime(path, inputs):
    """What onnxruntime computes, or None where there is none."""
    try:
        found = subprocess.run(["node", "-e", "require('onnxruntime-node')"], stderr=subprocess.DEVNULL,
                               check=False).returncode == 0
    except FileNotFoundError:
        found = False
    if not found:
        return None
    job = {"file": str(path), "inputs": {k: {"dims": v.shape, "data": v.flatten().tolist()}
                                         for k, v in inputs.items()}}
    out = json.loads(subprocess.run(["node", "-e", JS], input=json.dumps(job), check=True, text=True,
                                    stdout=subprocess.PIPE, timeout=60).stdout)
    return np.array(out["data"]).reshape(out["dims"])


def load(folder, name, what, dims):
    a = np.load(folder / f"{name}.{what}.npy")
    return a.reshape(a.shape + (1,) * (len(dims) - a.ndim))


def main():
    checks = 0
    with tempfile.TemporaryDirectory(prefix="plastinka-onnx-") as d:
        folder = pathlib.Path(d)
        subprocess.run([PLASTINKA, "lua", str(HERE / "onnx_models.lua"), d], check=True, timeout=300)
        files = sorted(folder.glob("*.onnx"))
        assert len(files) == 6, files
        for path in files:
            model = onnx.load(str(path))
            onnx.checker.check_model(model, full_check=True)
            dims = {i.name: i.type.tensor_type.shape.dim for i in model.graph.input}
            inputs = {k: load(folder, path.stem, k, v) for k, v in dims.items()}
            want = np.load(folder / f"{path.stem}.forecast.npy")
            outputs = [compute(model, inputs), runtime(path, inputs)]
            for found in (o for o in outputs if o is not None):
                assert found.size == want.size, (path.stem, found.shape, want.shape)
                off = np.abs(found.reshape(want.shape) - want).max() / np.abs(want).max()
                print(f"{path.stem}: off by {off:.1e} of the largest value")
                assert off < TOLERANCE, path.stem
                checks += 1
            shape = [x.dim_value or x.dim_param for x in model.graph.output[0].type.tensor_type.shape.dim]
            assert shape[0] == "series" and len(shape) == outputs[0].ndim, shape
    print(f"{checks} checks")


if __name__ == "__main__":
    main()
