"""The routes that come with the host: greeting, health, numbers, documentation, keys, reload."""
import json
import os
import re
import subprocess
import tempfile
import time

from http_support import PLASTINKA, check, run, same, wait_for
from web_support import Web


def body(a, status=200):
    same(a.status, status, a.body[:300])
    return json.loads(a.body) if a.body else None


def test_greeting():
    with Web() as s:
        v = body(s.call("/", key=None))
        same(sorted(v), ["docs", "message", "version"])
        same(v["docs"], "/docs")
        check(re.fullmatch(r"\d+\.\d+\.\d+.*", v["version"]), v["version"])


def test_health():
    with Web() as s:
        v = body(s.call("/health", key=None))
        same(v["status"], "healthy")
        same(sorted(v["components"]), ["active_model_metric", "api", "config", "database", "disk", "loop", "workflows"])
        check(all(set(c) == {"status"} for c in v["components"].values()), "details only with a key")
        v = body(s.call("/health"))
        same(v["components"]["workflows"]["details"]["generation"], v["generation"])
        check(v["components"]["disk"]["details"]["free_bytes"] > 0)
        check(isinstance(v["uptime_seconds"], int) and v["timestamp"].endswith("Z"))
        same(body(s.call("/health/live", key=None)), {"status": "alive"})
        same(body(s.call("/health/ready", key=None)), {"status": "ready"})
        same(s.call("/health/system", key=None).status, 401)
        v = body(s.call("/health/system"))
        for name in ("cpu_percent", "memory_percent", "disk_usage_percent"):
            check(0 <= v[name] <= 100, name, v[name])
        check(v["process_memory_mb"] > 1 and v["open_files"] > 3 and v["active_threads"] >= 1)
        same(v["pid"], s.proc.pid)


def test_broken_workflows():
    with tempfile.TemporaryDirectory() as d:
        subprocess.run([PLASTINKA, "init", d + "/w"], check=True, stdout=subprocess.DEVNULL)
        with Web("--workflows", d + "/w", "--reload-watch", "false") as s:
            before = body(s.call("/health"))["generation"]
            path = d + "/w/routes/mine.lua"
            with open(path, "w") as f:
                f.write('return {\n  ["GET /mine"] = { role = false, run = function() return { n = 1 } end },\n}\n')
            v = body(s.call("/api/v1/admin/reload", "POST"))
            check(v["generation"] != before)
            same(body(s.call("/mine", key=None)), {"n": 1})
            with open(path, "w") as f:
                f.write('return {\n  ["GET /mine"] = { rolle = false },\n}\n')
            e = body(s.call("/api/v1/admin/reload", "POST"), 409)["error"]
            same(e["code"], "invalid_workflows")
            check("workflows/routes/mine.lua" in e["message"] and "did you mean role?" in e["message"], e["message"])
            with open(path, "w") as f:
                f.write("return {\n  x = = 1\n}\n")
            e = body(s.call("/api/v1/admin/reload", "POST"), 409)["error"]
            check("workflows/routes/mine.lua:2:" in e["message"], e["message"])
            same(body(s.call("/mine", key=None)), {"n": 1})
            time.sleep(2.1)
            v = body(s.call("/health"))
            same((v["status"], v["generation"]), ("degraded", body(s.call("/health"))["generation"]))
            check("mine.lua:2:" in v["components"]["workflows"]["details"]["failed"]["message"], v)
            check("mine.lua" not in s.call("/health", key=None).body.decode())
            os.remove(path)
            same(body(s.call("/api/v1/admin/reload", "POST"))["generation"], before)
            same(s.call("/mine", key=None).status, 404)
            time.sleep(2.1)
            same(body(s.call("/health"))["status"], "healthy")


def test_metrics():
    line = re.compile(r'^[a-z_]+(\{([a-z_]+="([^"\\\n]|\\.)*"(,|(?=\})))*\})? [-+0-9.eInf]+$')
    with Web() as s:
        same(s.call("/metrics", key=None).status, 401)
        for _ in range(3):
            s.call("/health/live", key=None)
        a = s.call("/metrics")
        same(a.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
        values, types = {}, {}
        for text in a.body.decode().splitlines():
            if text.startswith("# TYPE"):
                _, _, name, kind = text.split()
                check(name not in types, "one TYPE for each name", name)
                types[name] = kind
            elif not text.startswith("#"):
                check(line.match(text), text)
                name, v = text.rsplit(" ", 1)
                check(name not in values, "twice", name)
                values[name] = float(v)
        route = 'process="1",route="GET /health/live"'
        same(values[f'plastinka_http_requests_total{{{route},class="2xx"}}'], 3)
        same(values[f"plastinka_http_request_duration_seconds_count{{{route}}}"], 3)
        same(values[f'plastinka_http_request_duration_seconds_bucket{{{route},le="+Inf"}}'], 3)
        for name in ("plastinka_lua_memory_bytes", "process_resident_memory_bytes", "plastinka_http_connections",
                     "process_cpu_seconds_total"):
            check(values[name + '{process="1"}'] > 0, name)
        check(values['plastinka_db_request_duration_seconds_count{process="1",kind="inline"}'] > 0)
        check(wait_for(lambda: b"plastinka_loop_lag_seconds" in s.call("/metrics").body), "loop lag")


def refs(v):
    if isinstance(v, dict):
        for k, x in v.items():
            if k == "$ref":
                yield x
            else:
                yield from refs(x)
    elif isinstance(v, list):
        for x in v:
            yield from refs(x)


def test_openapi():
    with Web() as s:
        same(s.call("/openapi.json", key=None).status, 401)
        a = s.call("/openapi.json")
        doc = body(a)
        check(doc["openapi"].startswith("3.1."))
        same(s.call("/openapi.json", headers=[("If-None-Match", a.headers["etag"])]).status, 304)
        ids = set()
        for path, item in doc["paths"].items():
            for method, op in item.items():
                check(method in ("get", "post", "put", "patch", "delete"), method)
                check(op["operationId"] not in ids, op["operationId"])
                ids.add(op["operationId"])
                check(op.get("summary"), path, "has no summary")
                inside = set(re.findall(r"{(\w+)}", path))
                same({p["name"] for p in op.get("parameters", []) if p["in"] == "path"}, inside)
                check(op["responses"] and all(r["description"] for r in op["responses"].values()))
        for ref in refs(doc):
            check(ref.split("/")[-1] in doc["components"]["schemas"], ref)
        check("/docs/{name}" not in doc["paths"], "hidden")
        keys = doc["paths"]["/api/v1/admin/keys"]["post"]
        same(keys["x-role"], "admin")
        same(keys["requestBody"]["content"]["application/json"]["schema"]["required"], ["name"])
        same(doc["paths"]["/health"]["get"]["security"], [])


def test_docs():
    with Web() as s:
        a = s.call("/docs", key=None)
        html = a.body.decode()
        same(a.headers["content-type"], "text/html; charset=utf-8")
        check("script-src 'self'" in a.headers["content-security-policy"])
        check("unsafe" not in a.headers["content-security-policy"])
        check("http://" not in html and "https://" not in html, "nothing from elsewhere")
        for name in re.findall(r'(?:src|href)="(/?docs/[^"]+)"', html):
            f = s.call("/" + name.lstrip("/"), key=None)
            same(f.status, 200, name)
            same(s.call("/" + name.lstrip("/"), key=None, headers=[("If-None-Match", f.headers["etag"])]).status, 304)
            check(b"//cdn" not in f.body and b"https://" not in f.body, name)
        check(not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|style=", html), "nothing inline")
        same(s.call("/docs/none.js", key=None).status, 404)


def test_keys():
    with Web() as s:
        made = body(s.call("/api/v1/admin/keys", "POST", value={"name": "till", "role": "viewer", "expires_days": 30}), 201)
        check(made["key"].startswith("plk_") and made["expires_at"] > made["created_at"])
        same(s.call("/metrics", key=made["key"]).status, 200)
        same(s.call("/api/v1/admin/keys", key=made["key"]).status, 403)
        e = body(s.call("/api/v1/admin/keys", "POST", value={"name": "x", "role": "root"}), 422)["error"]
        same(e["details"]["errors"][0]["loc"], ["body", "role"])
        v = body(s.call("/api/v1/admin/keys"))
        same((v["total"], len(v["keys"])), (2, 2))
        check(made["key"] not in json.dumps(v) and "hash" not in json.dumps(v))
        same(s.call("/api/v1/admin/keys/" + made["key_id"], "DELETE").status, 204)
        check(wait_for(lambda: s.call("/metrics", key=made["key"]).status == 401, 1.5), "revoked within a second")
        same(s.call("/api/v1/admin/keys/" + made["key_id"], "DELETE").status, 204)
        same(body(s.call("/api/v1/admin/keys/none", "DELETE"), 404)["error"]["code"], "key_not_found")
        out = subprocess.run([PLASTINKA, "keys", "create", "cli", "operator", "--data", s.data],
                             capture_output=True, text=True, check=True).stdout
        key = re.search(r"plk_\S+", out).group(0)
        same(s.call("/metrics", key=key).status, 200, "a key of the command line works at once")
        check(made["key"] not in s.read_log() and s.key not in s.read_log())


def test_first_start():
    with tempfile.TemporaryDirectory() as d:
        with Web(data=d) as s:
            check(s.key, "printed once")
            first = s.key
        with Web(data=d) as s:
            same(s.key, None, "and not again")
            same(s.call("/metrics", key=first).status, 200)


def test_old_hashes():
    out = subprocess.run([PLASTINKA, "lua", "/dev/stdin"], capture_output=True, text=True, check=True,
                         input='print(require("crypto").bcrypt_hash("old user", 6))\n'
                               'print(require("crypto").bcrypt_hash("old admin", 6))').stdout.split()
    hashes = {"API_X_API_KEY_HASH": out[0], "API_ADMIN_API_KEY_HASH": out[1]}
    with Web(env=hashes) as s:
        same(s.key, None)
        same(s.call("/metrics", key="old user").status, 200)
        same(s.call("/api/v1/admin/keys", key="old user").status, 403)
        bearer = [("Authorization", "Bearer old admin")]
        same(s.call("/api/v1/admin/keys", key=None, headers=bearer).status, 200)
        same(s.call("/api/v1/admin/keys", key="old admin").status, 401, "the admin token is no X-API-Key")


run(test_greeting, test_health, test_broken_workflows, test_metrics, test_openapi, test_docs, test_keys,
    test_first_start, test_old_hashes)
