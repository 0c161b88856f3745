#!/usr/bin/python3
"""XGBoost's histogram trees on the matrix trees_bench wrote: the peer of the same run.

  trees_peer.py FILE [rounds = 1000] [threads = 2]
"""
import sys
import time

import numpy as np
import xgboost as xgb

TEST = 90 * 500
data = np.fromfile(sys.argv[1], dtype=np.float32).reshape(-1, 21)
rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
threads = int(sys.argv[3]) if len(sys.argv) > 3 else 2
y, x = data[:, 0], np.ascontiguousarray(data[:, 1:])
t, cpu = time.time(), time.process_time()
train = xgb.DMatrix(x[:-TEST], label=y[:-TEST], nthread=threads)
param = dict(tree_method="hist", grow_policy="lossguide", max_leaves=31, max_depth=0, eta=0.05,
             max_bin=255, nthread=threads, min_child_weight=20, reg_lambda=0)
model = xgb.train(param, train, rounds)
print(f"xgboost {xgb.__version__}: train {time.time() - t:.2f} s, cpu {time.process_time() - cpu:.2f} s")
everything = xgb.DMatrix(x, nthread=threads)
t, cpu = time.time(), time.process_time()
p = model.predict(everything)
print(f"xgboost predict: {len(x) / (time.time() - t):.0f} rows/s, cpu {time.process_time() - cpu:.2f} s")
t = time.time()
for i in range(200):
    model.inplace_predict(x[i:i + 1])
print(f"xgboost one row: {(time.time() - t) / 200 * 1e6:.1f} us")
print(f"xgboost test rmse {np.sqrt(np.mean((p[-TEST:] - y[-TEST:]) ** 2)):.4f}")
