// Sorting, searching, choosing and grouping of the rows of a report. Works on what is on the page, asks nobody.
(function () {
  "use strict";
  var table = document.querySelector("table.rows");
  if (!table) return;
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells);
  var body = table.tBodies[0], rows = Array.prototype.slice.call(body.rows);
  var form = document.querySelector("form.controls"), at = {}, sorted = null;
  heads.forEach(function (th, i) { if (th.dataset.key) at[th.dataset.key] = i; });

  function number(text) {
    var t = text.replace(/[\s\u00a0%₽]/g, "");
    if (/,\d{3}(\D|$)/.test(t) && document.documentElement.lang === "en") t = t.replace(/,/g, "");
    var v = parseFloat(t.replace(",", ".").replace("−", "-"));
    return isNaN(v) ? null : v;
  }
  function value(row, i) {
    var cell = row.cells[i];
    return cell.dataset.group || (cell.firstChild ? cell.firstChild.textContent : "");
  }
  function sortKey(row, i, numeric) {
    var text = row.cells[i].firstChild ? row.cells[i].firstChild.textContent : "";
    return numeric ? number(text) : text.toLocaleLowerCase();
  }
  function shown(v, decimals) {
    var lang = document.documentElement.lang || undefined;
    return v.toLocaleString(lang, { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
  }

  function group(list, key) {
    var groups = {}, names = [], i = at[key];
    list.forEach(function (row) {
      var name = value(row, i);
      if (!groups[name]) { groups[name] = []; names.push(name); }
      groups[name].push(row);
    });
    if (!sorted) names.sort(function (a, b) { return (number(a.replace("(", "")) || 0) - (number(b.replace("(", "")) || 0) || a.localeCompare(b); });
    var out = document.createDocumentFragment();
    names.forEach(function (name) {
      var tr = document.createElement("tr");
      tr.className = "group";
      heads.forEach(function (th, k) {
        var td = tr.insertCell();
        if (k === 0) td.textContent = name + " · " + groups[name].length;
        if (th.dataset.sum !== undefined) {
          td.className = "n";
          td.textContent = shown(groups[name].reduce(function (s, r) { return s + (number(r.cells[k].textContent) || 0); }, 0), +th.dataset.sum);
        }
      });
      out.appendChild(tr);
      groups[name].forEach(function (row) { out.appendChild(row); });
    });
    return out;
  }

  function show() {
    var search = form.querySelector("[data-search]").value.toLocaleLowerCase();
    var only = form.querySelector("[data-only]"), by = form.querySelector("[data-group]").value;
    var choices = Array.prototype.slice.call(form.querySelectorAll("[data-column]")).filter(function (s) { return s.value; });
    var list = rows.filter(function (row) {
      if (search && row.textContent.toLocaleLowerCase().indexOf(search) < 0) return false;
      if (only && only.checked && !number(row.cells[at[only.dataset.only]].textContent)) return false;
      return choices.every(function (s) { return value(row, at[s.dataset.column]) === s.value; });
    });
    if (sorted) {
      var i = at[sorted.key], numeric = heads[i].classList.contains("n");
      var keys = new Map(list.map(function (row) { return [row, sortKey(row, i, numeric)]; }));
      list.sort(function (a, b) {
        var x = keys.get(a), y = keys.get(b);
        if (x === null || y === null) return (x === null) - (y === null);
        return (numeric ? x - y : x.localeCompare(y)) * sorted.sign;
      });
    }
    body.textContent = "";
    if (by) body.appendChild(group(list, by));
    else { var all = document.createDocumentFragment(); list.forEach(function (row) { all.appendChild(row); }); body.appendChild(all); }
    form.querySelector("[data-count]").textContent = shown(list.length, 0);
  }

  table.tHead.addEventListener("click", function (e) {
    var th = e.target.closest("th");
    if (!th || !th.dataset.key) return;
    var first = th.classList.contains("n") ? -1 : 1;
    sorted = { key: th.dataset.key, sign: sorted && sorted.key === th.dataset.key ? -sorted.sign : first };
    heads.forEach(function (h) { h.removeAttribute("aria-sort"); });
    th.setAttribute("aria-sort", sorted.sign > 0 ? "ascending" : "descending");
    show();
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", function (e) { e.preventDefault(); });
})();
