#!/usr/bin/env python3
"""TiDE here against PyTorch (Debian's python3-torch with libopenblas0-openmp), the same network.

Prints one line for each shape and number of threads: samples/s of training (AdamW, dropout 0.1)
and of prediction in batches of 512, time of one sample, and how many times PyTorch's rate that is.
PyTorch gets what it likes best: OPENBLAS_CORETYPE=SKYLAKEX where the CPU has AVX-512, memory that is
not given back to the system, and as many threads. Takes turns, three times, and keeps each side's
best, since such machines swing.
"""
import json
import os
import subprocess
import sys
import time

CHILD = "TIDE_BENCH_CHILD"
# BENCH_CPU=1: processor time, to be judged with one thread only on a busy machine
clock = time.process_time if "BENCH_CPU" in os.environ else time.monotonic
PYTHON = "/usr/bin/python3"  # the one that sees Debian's packages


def torch_side(shape, threads, seconds):
    import torch
    from torch import nn

    with open("/proc/self/maps", encoding="ascii", errors="replace") as f:
        if "openblas" not in f.read():  # Debian's reference BLAS would be 50 times slower
            sys.exit("PyTorch does not use OpenBLAS here: install libopenblas0-openmp")
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    drop, hidden, temporal = 0.1, 256, 128
    if shape == "store":
        L, H, F, S, Q, N, T, shared = 24, 1, 6, 20, 5, 5000, 60, False
    else:
        L, H, F, S, Q, N, T, shared = 720, 96, 4, 0, 1, 7, 8640, True
    D, width = 8, 4

    class Block(nn.Module):
        def __init__(self, n_in, n_hidden, n_out):
            super().__init__()
            self.up, self.down = nn.Linear(n_in, n_hidden), nn.Linear(n_hidden, n_out)
            self.skip, self.drop = nn.Linear(n_in, n_out), nn.Dropout(drop)

        def forward(self, x):
            return self.drop(self.down(torch.relu(self.up(x)))) + self.skip(x)

    class Tide(nn.Module):
        def __init__(self):
            super().__init__()
            self.project = Block(F, 64, width)
            self.dense = nn.Sequential(
                Block(L + (L + H) * width + S, hidden, hidden), Block(hidden, hidden, hidden),
                Block(hidden, hidden, hidden), Block(hidden, hidden, D * H * Q))
            self.temporal = Block(D * Q + width, temporal, Q)
            self.lookback = nn.Linear(L, H * Q)

        def forward(self, look, future, fixed):
            p = self.project(future)
            parts = [look, p.flatten(1)] + ([fixed] if S else [])
            d = self.dense(torch.cat(parts, 1)).view(-1, H, D * Q)
            y = self.temporal(torch.cat([d, p[:, L:]], 2))
            return y + self.lookback(look).view(-1, H, Q)

    y = torch.rand(N, T) * 2 - 1
    cov = torch.rand(1 if shared else N, T, F) * 2 - 1
    fixed = torch.rand(N, max(S, 1)) * 2 - 1
    net = Tide()
    opt = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=1e-2)
    q = torch.tensor([0.05, 0.25, 0.5, 0.75, 0.95]) if Q > 1 else None
    step = torch.arange(L + H)

    def cut(B):
        n, s = torch.randint(N, (B, 1)), torch.randint(T - L - H + 1, (B, 1))
        w = y[n, s + step]
        f = cov[torch.zeros_like(n) if shared else n, s + step]
        return w[:, :L], f, fixed[n[:, 0]], w[:, L:]

    def train():
        look, f, st, target = cut(512)
        opt.zero_grad()
        out = net(look, f, st)
        e = target.unsqueeze(2) - out
        loss = torch.maximum((q - 1) * e, q * e).sum(2).mean() if Q > 1 else (e * e).mean()
        loss.backward()
        opt.step()

    def infer(B, batch=None):
        with torch.no_grad():
            look, f, st, _ = batch or cut(B)
            return net(look, f, st)

    def middle(fn, limit):
        took, end = [], clock() + limit
        while len(took) < 3 or clock() < end:
            t0 = clock()
            fn()
            took.append(clock() - t0)
        return sorted(took)[len(took) // 2]

    train()
    net.train()
    t = middle(train, seconds)
    net.eval()
    i = middle(lambda: infer(512), seconds / 3)
    one = cut(1)
    o = middle(lambda: infer(1, one), seconds / 6)
    print(json.dumps({"params": sum(p.numel() for p in net.parameters()), "train_per_s": 512 / t,
                      "infer_per_s": 512 / i, "one_us": o * 1e6}))


# What is asked for: training at 1 and 2 threads, prediction, one sample in us, memory in MiB.
TARGETS = {"store": ((2.0, 2.3), 1.5, 60, 100), "ett": ((3.0, 4.0), 2.0, 200, 400)}


def figure(name, ours, peer, target, direction):
    print(f"@figure\ttide {name}\t{ours:.6g}\t{peer:.6g}\t{target}\t{direction}", flush=True)


def main():
    build = os.environ.get("BUILD_DIR", "build")
    seconds = float(os.environ.get("BENCH_SECONDS", "4"))
    subprocess.run(["ninja", "-C", build, "--quiet", "tide_rate_bench"], check=True)
    binary = os.path.join(build, "bench", "tide_rate_bench")
    env = dict(os.environ, OPENBLAS_CORETYPE="SKYLAKEX", MALLOC_TRIM_THRESHOLD_="4294967296",
               MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TOP_PAD_="268435456")
    with open("/proc/cpuinfo", encoding="ascii") as f:
        if "avx512f" not in f.read():
            del env["OPENBLAS_CORETYPE"]
    for shape, (train, predict, one_us, mib) in TARGETS.items():
        for threads in (1, 2):
            ours, theirs = [], []
            for _ in range(3):
                out = subprocess.run([binary, shape, str(threads), str(seconds)], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout
                ours.append(json.loads(out))
                env.update({CHILD: f"{shape} {threads} {seconds}", "OMP_NUM_THREADS": str(threads),
                            "OPENBLAS_NUM_THREADS": str(threads)})
                out = subprocess.run([PYTHON, __file__], check=True, env=env,
                                     stdout=subprocess.PIPE, text=True).stdout
                theirs.append(json.loads(out))
            if ours[0]["params"] != theirs[0]["params"]:
                sys.exit(f"not the same network: {ours[0]['params']}, {theirs[0]['params']}")
            best = {k: (max(r[k] for r in ours), max(r[k] for r in theirs))
                    for k in ("train_per_s", "infer_per_s")}
            name = f"{shape} {threads} thread{'s' if threads > 1 else ''}"
            figure(f"{name} train", *best["train_per_s"], train[threads - 1], "higher")
            figure(f"{name} predict", *best["infer_per_s"], predict, "higher")
            figure(f"{name} one sample us", min(r["one_us"] for r in ours), one_us, 1, "lower")
            figure(f"{name} memory MiB", max(r["rss_mib"] for r in ours), mib, 1, "lower")
            if threads == 1:
                alone = best["train_per_s"][0]
                top, layer, step = (max(r[k] for r in ours) for k in ("peak", "dense", "step"))
                figure(f"{name} dense layer GFLOP/s, of the core's FMA peak", layer, top, 0.6, "higher")
                print(f"{name}: products of a training step {step:.0f} GFLOP/s, {step / top:.0%} of the peak")
            else:
                figure(f"{shape} train 2 threads, of 1 thread", best["train_per_s"][0], alone, 1.8, "higher")


if __name__ == "__main__":
    if CHILD in os.environ:
        s, n, sec = os.environ[CHILD].split()
        torch_side(s, int(n), float(sec))
    else:
        main()
