"use strict";
/* The page at /docs: reads /openapi.json, shows routes by tag, and tries them. All text goes into the
   page as text, never as markup. The key stays in this tab (sessionStorage). */

const $ = (id) => document.getElementById(id);
let doc = null;
let operations = [];

function h(tag, attrs, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (v === undefined || v === null || v === false) continue;
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (k in e && k !== "list" && k !== "for") e[k] = v;
    else e.setAttribute(k, v === true ? "" : v);
  }
  e.append(...children.flat(9).filter((c) => c !== null && c !== undefined && c !== false));
  return e;
}

function say(text) {
  $("said").textContent = text;
  $("said").classList.add("on");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => $("said").classList.remove("on"), 1800);
}

/* A paragraph in which `this` is code. */
function paragraph(text) {
  return h("p", {}, text.split(/`([^`]*)`/).map((part, i) => (i % 2 ? h("code", {}, part) : part)));
}

/* ---- key and theme ---- */

function keyHeaders() {
  const key = sessionStorage.getItem("key");
  if (!key) return {};
  return sessionStorage.getItem("key-as") === "bearer" ? { Authorization: "Bearer " + key } : { "X-API-Key": key };
}

function useKey(key, as) {
  if (key) sessionStorage.setItem("key", key); else sessionStorage.removeItem("key");
  sessionStorage.setItem("key-as", as || "x-api-key");
  $("key").value = key;
  start();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
}

/* ---- schemas ---- */

function resolve(schema) {
  let name = null;
  while (schema && schema.$ref) {
    name = schema.$ref.split("/").pop();
    schema = (doc.components.schemas || {})[name];
  }
  return [schema || {}, name];
}

function isNull(s) { return s && s.type === "null"; }

function unwrap(schema) { /* X or null -> X, true */
  if (schema.anyOf && schema.anyOf.length === 2 && schema.anyOf.some(isNull))
    return [{ ...schema.anyOf.find((s) => !isNull(s)), description: schema.description }, true];
  if (Array.isArray(schema.type) && schema.type.includes("null")) {
    const rest = schema.type.filter((t) => t !== "null");
    return [{ ...schema, type: rest.length === 1 ? rest[0] : rest }, true];
  }
  return [schema, false];
}

function typeText(given) {
  const [bare, nullable] = unwrap(given);
  const [s, name] = resolve(bare);
  let t = name || s.format || s.type || (s.anyOf ? "one of" : "any");
  if (s.enum) t = s.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (s.contentMediaType) t = "file";
  if (s.type === "array") t = "array of " + typeText(s.items || {});
  const low = s.minimum ?? s.minLength ?? s.minItems, high = s.maximum ?? s.maxLength ?? s.maxItems;
  if (low !== undefined || high !== undefined) t += ` ${low ?? ""}..${high ?? ""}`;
  if (s.exclusiveMinimum !== undefined) t += " > " + s.exclusiveMinimum;
  if (s.exclusiveMaximum !== undefined) t += " < " + s.exclusiveMaximum;
  if (s.default !== undefined) t += " = " + JSON.stringify(s.default);
  return t + (nullable ? " or null" : "");
}

function schemaRows(given, depth) {
  const [s] = resolve(unwrap(given)[0]);
  if (depth > 6) return null;
  if (s.anyOf) return s.anyOf.map((one, i) => h("div", { className: "in" }, h("div", { className: "row" }, h("span", { className: "doc" }, `form ${i + 1}`)), schemaRows(one, depth + 1)));
  if (s.type === "array") return schemaRows(s.items || {}, depth + 1);
  const rows = Object.entries(s.properties || {}).map(([name, p]) => {
    const inner = schemaRows(p, depth + 1);
    const row = [h("span", {}, name), h("span", { className: "type" }, typeText(p)),
      (s.required || []).includes(name) && h("span", { className: "must" }, "required"),
      p.description && h("span", { className: "doc" }, p.description)];
    if (!inner || !inner.length) return h("div", { className: "row" }, row);
    return h("details", { open: depth < 1 }, h("summary", {}, h("span", { className: "row" }, row)), h("div", { className: "in" }, inner));
  });
  if (s.additionalProperties && typeof s.additionalProperties === "object") {
    rows.push(h("div", { className: "row" }, h("span", {}, "any name"), h("span", { className: "type" }, typeText(s.additionalProperties))));
    rows.push(h("div", { className: "in" }, schemaRows(s.additionalProperties, depth + 1)));
  }
  return rows;
}

function schemaView(s) {
  const rows = schemaRows(s, 0);
  const any = rows && rows.length;
  return h("div", { className: "schema" }, h("div", { className: "row" }, h("span", { className: "type" }, typeText(s))), any ? h("div", { className: "in" }, rows) : null);
}

function example(given, depth = 0) {
  const [bare, nullable] = unwrap(given);
  const [s] = resolve(bare);
  if (s.examples) return s.examples[0];
  if (s.default !== undefined) return s.default;
  if (s.enum) return s.enum[0];
  if (nullable && depth > 0) return null;
  if (s.anyOf) return example(s.anyOf[0], depth);
  if (depth > 5) return null;
  switch (s.type) {
    case "object": {
      const out = {};
      for (const [name, p] of Object.entries(s.properties || {}))
        if ((s.required || []).includes(name) || depth < 1) out[name] = example(p, depth + 1);
      return out;
    }
    case "array": return [example(s.items || {}, depth + 1)];
    case "integer": return s.minimum ?? 1;
    case "number": return s.minimum ?? 1.5;
    case "boolean": return false;
  }
  const day = new Date().toISOString();
  return { uuid: "00000000-0000-4000-8000-000000000000", date: s.pattern ? day.slice(0, 8) + "01" : day.slice(0, 10), "date-time": day }[s.format] ?? "text";
}

/* ---- the form of one route ---- */

function inputFor(given, id, required) {
  const [s] = resolve(unwrap(given)[0]);
  if (s.contentMediaType) return h("input", { id, type: "file", required });
  if (s.type === "array" && resolve(s.items || {})[0].contentMediaType) return h("input", { id, type: "file", multiple: true, required });
  if (s.enum || s.type === "boolean") {
    const values = s.enum || ["true", "false"];
    return h("select", { id }, (!required || s.default !== undefined) && h("option", { value: "" }, s.default !== undefined ? `${s.default} (default)` : "—"), values.map((v) => h("option", { value: v }, v)));
  }
  if (s.type === "array") return h("textarea", { id, rows: 2, placeholder: "one on each line" });
  const type = { integer: "number", number: "number" }[s.type] || (s.format === "date" ? "date" : s.format === "password" ? "password" : "text");
  return h("input", { id, type, required, placeholder: s.default !== undefined ? String(s.default) : "", step: s.type === "number" ? "any" : undefined, min: s.minimum, max: s.maximum, spellcheck: false });
}

function fieldView(name, schema, required, about) {
  const id = "f-" + name.replace(/\W/g, "-") + "-" + Math.random().toString(36).slice(2, 7);
  const input = inputFor(schema, id, required);
  const row = h("div", { className: "field" }, h("label", { htmlFor: id }, name, required ? h("em", { title: "required" }, " *") : ""), input,
    h("div", { className: "about" }, typeText(schema), about ? " · " + about : ""));
  return { name, schema, input, row };
}

function valuesOf(field) {
  const i = field.input;
  if (i.type === "file") return [...i.files];
  if (i.value === "") return [];
  return i.tagName === "TEXTAREA" ? i.value.split("\n").map((v) => v.trim()).filter(Boolean) : [i.value];
}

/* ---- answers ---- */

function colored(text) {
  const pre = h("pre", {});
  const token = /("(?:[^"\\]|\\.)*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
  let at = 0;
  for (let m; (m = token.exec(text));) {
    pre.append(text.slice(at, m.index), h("span", { className: m[1] ? (m[2] ? "k" : "s") : m[3] ? "w" : "n" }, m[1] || m[0]), m[2] || "");
    at = m.index + m[0].length;
  }
  pre.append(text.slice(at));
  return pre;
}

function sizeText(n) {
  return n < 1024 ? n + " B" : n < 1 << 20 ? (n / 1024).toFixed(1) + " KiB" : (n / (1 << 20)).toFixed(1) + " MiB";
}

async function showEvents(answer, box) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", n = 0;
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return n;
    rest = (rest + value).replace(/\r\n?/g, "\n");
    for (let end; (end = rest.indexOf("\n\n")) >= 0; rest = rest.slice(end + 2)) {
      const e = { data: [] };
      for (const line of rest.slice(0, end).split("\n")) {
        const colon = line.indexOf(":");
        const name = colon < 0 ? line : line.slice(0, colon), v = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
        if (name === "data") e.data.push(v); else if (name) e[name] = v;
      }
      if (!e.data.length) continue;
      n++;
      box.append(h("div", { className: "event" }, h("b", {}, [e.event || "message", e.id && "#" + e.id].filter(Boolean).join(" ")), e.data.join("\n")));
      box.lastChild.scrollIntoView({ block: "nearest" });
    }
  }
}

async function showBody(answer, box) {
  const type = (answer.headers.get("content-type") || "").split(";")[0];
  if (type === "text/event-stream") return showEvents(answer, box);
  const blob = await answer.blob();
  const named = /filename="?([^";]+)/.exec(answer.headers.get("content-disposition") || "");
  if (!blob.size) {
    box.append(h("p", { className: "hint" }, "No content."));
  } else if (!named && /json$|^text\//.test(type) && blob.size < 2e6) {
    const text = await blob.text();
    let pretty = null;
    if (/json$/.test(type)) try { pretty = JSON.stringify(JSON.parse(text), null, 2); } catch { /* shown as it is */ }
    box.append(pretty ? colored(pretty) : h("pre", {}, text));
  } else {
    const url = URL.createObjectURL(blob);
    box.append(h("p", {}, h("a", { href: url, download: named ? named[1] : "answer" }, `Save the answer (${sizeText(blob.size)}, ${type || "no type"})`)));
  }
  return blob.size;
}

function factsView(answer, ms) {
  const kind = answer.status < 300 ? "ok" : answer.status < 400 ? "redirect" : "wrong";
  return h("div", { className: "facts" }, h("span", { className: "status " + kind }, `${answer.status} ${answer.statusText}`), h("span", {}, `${ms.toFixed(ms < 10 ? 1 : 0)} ms`));
}

async function send(request, box, button) {
  const stop = new AbortController();
  const cancel = h("button", { type: "button", onclick: () => stop.abort() }, "Stop");
  button.disabled = true;
  button.after(cancel);
  document.body.classList.add("busy");
  box.replaceChildren(h("p", { className: "hint" }, "Waiting for the answer…"));
  const began = performance.now();
  try {
    const answer = await fetch(request.url, { method: request.method, headers: request.headers, body: request.body, signal: stop.signal, redirect: "follow", cache: "no-store" });
    const facts = factsView(answer, performance.now() - began);
    const content = h("div", {});
    box.replaceChildren(facts, h("details", {}, h("summary", {}, "Headers"), h("table", {}, [...answer.headers].map(([k, v]) => h("tr", {}, h("td", {}, k), h("td", {}, v))))), content);
    const n = await showBody(answer, content);
    const events = (answer.headers.get("content-type") || "").startsWith("text/event-stream");
    facts.append(h("span", {}, events ? `${n} events` : sizeText(n)));
  } catch (e) {
    if (e.name === "AbortError") box.append(h("p", { className: "hint" }, "Stopped."));
    else box.replaceChildren(h("p", { className: "wrong" }, "No answer: " + e.message));
  } finally {
    button.disabled = false;
    cancel.remove();
    document.body.classList.remove("busy");
  }
}

/* ---- views ---- */

function quote(text) { return "'" + text.replace(/'/g, "'\\''") + "'"; }

function curlOf(request, form) {
  const parts = ["curl" + (request.method === "GET" ? "" : " -X " + request.method), quote(location.origin + request.url)];
  for (const [k, v] of Object.entries(request.headers)) parts.push("-H " + quote(`${k}: ${/^(x-api-key|authorization)$/i.test(k) ? v.replace(/\S+$/, "$KEY") : v}`).replace(/'([^']*)\$KEY'/, '"$1$KEY"'));
  for (const f of form || []) for (const v of valuesOf(f)) parts.push("-F " + quote(`${f.name}=${v instanceof File ? "@" + v.name : v}`));
  if (typeof request.body === "string") parts.push("-d " + quote(request.body));
  return parts.join(" \\\n  ");
}

function requestOf(op, fields, body, form) {
  const headers = keyHeaders();
  const query = new URLSearchParams();
  let url = op.path;
  for (const f of fields) {
    const values = valuesOf(f);
    if (f.where === "path") url = url.replace(`{${f.name}}`, values.map(encodeURIComponent).join("/"));
    else if (f.where === "query") values.forEach((v) => query.append(f.name, v));
    else if (values.length) headers[f.name] = values[0];
  }
  if ([...query].length) url += "?" + query;
  const request = { method: op.method, url, headers };
  if (form) {
    request.body = new FormData();
    for (const f of form) for (const v of valuesOf(f)) request.body.append(f.name, v);
  } else if (body && body.value.trim()) {
    headers["Content-Type"] = "application/json";
    request.body = body.value;
  }
  return request;
}

function tryView(op) {
  const fields = (op.parameters || []).map((p) => ({ ...fieldView(p.name, p.schema, !!p.required, p.description), where: p.in }));
  const content = (op.requestBody || {}).content || {};
  const multipart = content["multipart/form-data"], json = content["application/json"];
  let form = null, body = null;
  if (multipart) {
    const s = resolve(multipart.schema)[0];
    form = Object.entries(s.properties || {}).map(([name, p]) => fieldView(name, p, (s.required || []).includes(name), p.description));
  } else if (json) {
    body = h("textarea", { spellcheck: false, value: JSON.stringify(example(json.schema), null, 2), "aria-label": "Request body as JSON" });
    body.rows = Math.min(18, body.value.split("\n").length + 1);
  }
  const button = h("button", { className: "main", type: "submit" }, "Send");
  const answer = h("div", { "aria-live": "polite" });
  const curl = h("pre", {});
  const update = () => { curl.textContent = curlOf(requestOf(op, fields, body, form), form); };
  const node = h("form", {
    className: "card", oninput: update, onchange: update,
    onkeydown: (e) => { if (e.key === "Enter" && (e.ctrlKey || e.metaKey)) { e.preventDefault(); node.requestSubmit(); } },
    onsubmit: (e) => { e.preventDefault(); update(); send(requestOf(op, fields, body, form), answer, button); },
  },
  fields.map((f) => f.row), (form || []).map((f) => f.row), body && h("h3", {}, "Body"), body,
  h("div", { className: "actions" }, button, h("span", { className: "hint" }, "Ctrl + Enter"),
    op["x-role"] && !sessionStorage.getItem("key") && h("span", { className: "wrong" }, "needs a key: enter one above")),
  h("div", { className: "curl" }, curl, h("button", { type: "button", onclick: () => navigator.clipboard.writeText(curl.textContent).then(() => say("Copied"), () => say("The browser did not allow it")) }, "Copy")));
  update();
  return [h("h2", {}, "Try it"), node, answer];
}

function routeTitle(op) {
  const parts = op.path.split(/({[^}]*})/).map((p) => (p.startsWith("{") ? h("b", {}, p) : p));
  return h("div", { className: "route" }, h("span", { className: "method " + op.method.toLowerCase() }, op.method), h("span", {}, parts),
    h("span", { className: "pill" + (op["x-role"] ? " role" : "") }, op["x-role"] ? "role: " + op["x-role"] : "open to everybody"),
    op.deprecated && h("span", { className: "pill" }, "deprecated"));
}

function answersView(op) {
  return Object.entries(op.responses || {}).sort().map(([status, r]) => {
    const [type, media] = Object.entries(r.content || {})[0] || [];
    return h("div", { className: "answer" }, h("span", { className: "status " + (status < 300 ? "ok" : status < 400 ? "redirect" : "wrong") }, status),
      h("div", {}, h("div", {}, r.description, type && type !== "application/json" ? ` (${type})` : ""), media && media.schema && (status < 400 ? schemaView(media.schema) : null)));
  });
}

function showOperation(op) {
  const content = (op.requestBody || {}).content || {};
  const media = content["application/json"] || content["multipart/form-data"];
  document.title = `${op.method} ${op.path} · Plastinka API`;
  $("main").replaceChildren(h("h1", {}, op.summary || op.path), routeTitle(op), op.description ? paragraph(op.description) : "", ...tryView(op),
    ...(media ? [h("h2", {}, "Body"), h("div", { className: "card" }, schemaView(media.schema))] : []),
    h("h2", {}, "Answers"), h("div", { className: "card" }, answersView(op)));
}

function showOverview() {
  document.title = "Plastinka API";
  const groups = (doc.tags || []).map((t) => [h("h2", {}, t.name), h("div", { className: "tiles" }, operations.filter((o) => o.tags.includes(t.name)).map((o) =>
    h("a", { className: "tile", href: "#" + o.operationId }, h("span", {}, h("span", { className: "method " + o.method.toLowerCase() }, o.method + " "), o.path), h("small", {}, o.summary || ""))))]);
  const schemas = Object.entries(doc.components.schemas || {}).map(([name, s]) => h("details", { className: "card", id: "schema-" + name }, h("summary", {}, name), schemaView(s)));
  $("main").replaceChildren(h("h1", {}, doc.info.title), paragraph(doc.info.description || ""), ...groups.flat(), h("h2", {}, "Schemas"), ...schemas);
}

function showList() {
  const words = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (o) => words.every((w) => `${o.method} ${o.path} ${o.summary || ""} ${o.tags.join(" ")}`.toLowerCase().includes(w));
  const current = location.hash.slice(1);
  $("list").replaceChildren(...(doc.tags || []).flatMap((t) => {
    const found = operations.filter((o) => o.tags.includes(t.name) && fits(o));
    return found.length ? [h("h2", {}, t.name), ...found.map((o) => h("a", { href: "#" + o.operationId, title: o.summary, "aria-current": o.operationId === current ? "page" : null },
      h("span", { className: "method " + o.method.toLowerCase() }, o.method === "DELETE" ? "DEL" : o.method), h("span", {}, o.path)))] : [];
  }));
}

function show(focus) {
  if (!doc) return;
  const op = operations.find((o) => o.operationId === location.hash.slice(1));
  showList();
  if (op) showOperation(op); else showOverview();
  window.scrollTo(0, 0);
  if (focus) $("main").focus();
}

function showWelcome(status) {
  doc = null;
  $("list").replaceChildren();
  const input = h("input", { type: "password", placeholder: "plk_…", "aria-label": "API key", autocomplete: "off" });
  const wrong = sessionStorage.getItem("key") && status === 401;
  $("main").replaceChildren(h("div", { className: "welcome" }, h("span", { className: "disc" }), h("h1", {}, status === 401 ? "Put the needle on" : "The description cannot be read"),
    h("p", {}, status === 401 ? "Enter an API key to read this API's description and try it. The first admin key was printed when the server first started; plastinka keys create makes more." : `The server answered with status ${status}.`),
    wrong && h("p", { className: "wrong" }, "The server does not know this key."),
    status === 401 && h("form", { onsubmit: (e) => { e.preventDefault(); useKey(input.value.trim(), $("key-as").value); } }, input, h("button", { className: "main" }, "Open")),
    h("p", { className: "hint" }, "The key stays in this tab and goes nowhere but to this server.")));
  if (status === 401) input.focus();
}

async function start() {
  document.body.classList.add("busy");
  try {
    const answer = await fetch("/openapi.json", { headers: keyHeaders() });
    if (!answer.ok) return showWelcome(answer.status);
    doc = await answer.json();
    operations = Object.entries(doc.paths).flatMap(([path, item]) => Object.entries(item).map(([method, op]) => ({ ...op, path, method: method.toUpperCase(), tags: op.tags || ["other"] })));
    const order = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    operations.sort((a, b) => a.path.localeCompare(b.path) || order.indexOf(a.method) - order.indexOf(b.method));
    $("version").textContent = "API " + doc.info.version;
    show(false);
  } catch (e) {
    $("main").replaceChildren(h("p", { className: "wrong" }, "The server does not answer: " + e.message));
  } finally {
    document.body.classList.remove("busy");
  }
}

setTheme(localStorage.getItem("theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
$("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", next);
  setTheme(next);
});
$("key").value = sessionStorage.getItem("key") || "";
$("key-as").value = sessionStorage.getItem("key-as") || "x-api-key";
$("key-form").addEventListener("submit", (e) => { e.preventDefault(); useKey($("key").value.trim(), $("key-as").value); say("Key set for this tab"); });
$("filter").addEventListener("input", () => doc && showList());
window.addEventListener("hashchange", () => show(true));
document.addEventListener("keydown", (e) => {
  if (e.key === "/" && !/^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) { e.preventDefault(); $("filter").focus(); }
});
start();
