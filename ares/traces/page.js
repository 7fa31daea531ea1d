"use strict";
(() => {
  // Everything shown comes from the block of data and goes into the page as text, never as markup.
  const data = JSON.parse(document.getElementById("data").textContent);
  const LEVELS = 24;
  const at = (id) => document.getElementById(id);
  const make = (name, className, text) => {
    const element = document.createElement(name);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const whole = (number) => number.toLocaleString("en-US");
  const share = (part, of) => (of ? `${(100 * part / of).toFixed(1)} %` : "");

  // Characters that hide, or turn the direction of what follows, are shown by name.
  const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
  const visible = (text) => text.replace(HIDDEN, (sign) => {
    const code = sign.charCodeAt(0);
    return code < 32 ? String.fromCharCode(0x2400 + code)
      : `‹U+${code.toString(16).toUpperCase().padStart(4, "0")}›`;
  });

  const traces = data.traces.map((trace, index) => ({
    ...trace,
    index,
    entropy: Float64Array.from(trace.entropy, (value) => value / 1000),
    trigger: Uint8Array.from(trace.tokens, (word) => (data.category[word] >= 0 ? 1 : 0)),
    text: trace.tokens.map((word) => data.words[word]).join(""),
    verdict: { true: "right", false: "wrong", null: "unknown" }[trace.correct],
  }));
  for (const trace of traces) {
    trace.mean = trace.entropy.reduce((sum, value) => sum + value, 0) / (trace.entropy.length || 1);
  }
  const sumOf = (name) => traces.reduce((sum, trace) => sum + trace[name], 0);
  const total = traces.reduce((sum, trace) => sum + trace.entropy.length, 0);
  const state = { window: data.window, percentile: data.percentile, theta: NaN, current: 0, pinned: -1 };
  let spans = [];

  // W_t = mean(H_t .. H_{t+w-1}), eq. 4, undefined (NaN) where the response ends before. Terms are
  // added in the order in which ares.method.windows adds them, so that the sums are the same.
  function windowEntropy(entropy, window) {
    const found = new Float64Array(entropy.length).fill(NaN);
    for (let start = 0; start + window <= entropy.length; start += 1) {
      let sum = 0;
      for (let step = 0; step < window; step += 1) sum += entropy[start + step];
      found[start] = sum / window;
    }
    return found;
  }

  // Linear interpolation, as ares.method.thresholds.batch_quantile.
  function quantile(sorted, q) {
    if (!sorted.length) return NaN;
    const position = (sorted.length - 1) * q;
    const low = Math.floor(position);
    return sorted[low] + (sorted[Math.ceil(position)] - sorted[low]) * (position - low);
  }

  const joined = (name) => Float64Array.from(traces.flatMap((trace) => Array.from(trace[name])));
  const top = Math.max(1, Math.ceil(2 * (quantile(joined("entropy").sort(), 0.995) || 0)) / 2);
  const level = (value) => (Number.isNaN(value) ? -1 : Math.min(LEVELS - 1, Math.floor((value / top) * LEVELS)));

  let sorted = new Float64Array(0);
  function newWindow() {
    for (const trace of traces) trace.window = windowEntropy(trace.entropy, state.window);
    sorted = joined("window").filter((value) => !Number.isNaN(value)).sort();
    state.computed = state.window;
  }

  function newThreshold() {
    state.theta = quantile(sorted, state.percentile / 100);
    for (const trace of traces) {
      const high = trace.window.map((value) => (value >= state.theta ? 1 : 0));
      trace.hwe = high.reduce((sum, one) => sum + one, 0);
      trace.validated = high.reduce((sum, one, t) => sum + one * trace.trigger[t], 0);
    }
  }

  const counted = (trace) => (at("only-triggers").checked ? trace.validated : trace.hwe);
  const marked = (trace, t) => trace.window[t] >= state.theta && (trace.trigger[t] || !at("only-triggers").checked);

  function showNumbers() {
    const show = (id, value, text) => {
      at(id).textContent = text;
      at(id).dataset.value = value;
    };
    const [hwe, validated] = [sumOf("hwe"), sumOf("validated")];
    at("window-value").textContent = `${state.window} token${state.window > 1 ? "s" : ""}`;
    at("percentile-value").textContent = `P${state.percentile}`;
    show("theta", state.theta, Number.isNaN(state.theta) ? "none" : state.theta.toFixed(3));
    show("hwe", hwe, whole(hwe));
    show("validated", validated, whole(validated));
    at("hwe-share").textContent = share(hwe, total);
    at("validated-share").textContent = share(validated, hwe);
    at("tokens").textContent = whole(total);
    for (const trace of traces) trace.item.querySelector(".count").textContent = whole(counted(trace));
  }

  // ---------------------------------------------------------------- list of traces
  function fillSelect(id, values, all) {
    const select = at(id);
    select.append(new Option(`all ${all}`, ""));
    for (const [value, text] of values) select.append(new Option(text, value));
    select.hidden = values.length < 2;
  }

  const SIGNS = { right: "✓", wrong: "✗", unknown: "·" };

  function buildList() {
    const present = (name, order) => order.filter((value) => traces.some((trace) => trace[name] === value));
    fillSelect("difficulty", present("difficulty", ["easy", "medium", "hard", ""])
      .map((value) => [value || "none", value || "no difficulty"]), "difficulties");
    fillSelect("verdict", present("verdict", Object.keys(SIGNS)).map((v) => [v, v]), "verdicts");
    const benchmarks = [...new Set(traces.map((trace) => trace.benchmark))];
    fillSelect("benchmark", benchmarks.map((name) => [name, visible(name) || "no benchmark"]), "benchmarks");
    for (const trace of traces) {
      const item = make("li");
      const button = make("button");
      button.type = "button";
      const verdict = make("span", trace.verdict, SIGNS[trace.verdict]);
      verdict.title = trace.verdict;
      const count = make("span", "count");
      count.title = "HWE tokens";
      const more = [trace.difficulty, visible(trace.benchmark), `${whole(trace.entropy.length)} tokens`].filter(Boolean);
      button.append(verdict, make("span", "id", visible(trace.id)), count, make("span", "more", more.join(" · ")));
      button.setAttribute("aria-label", [visible(trace.id), trace.verdict, ...more].join(", "));
      button.addEventListener("click", () => {
        openTrace(trace.index);
        if (narrow.matches) at("browse").open = false;
      });
      item.append(button);
      trace.item = item;
    }
    filterList();
  }

  const ORDERS = {
    file: (a, b) => a.index - b.index,
    hwe: (a, b) => counted(b) - counted(a),
    share: (a, b) => counted(b) / (b.entropy.length || 1) - counted(a) / (a.entropy.length || 1),
    entropy: (a, b) => b.mean - a.mean,
    long: (a, b) => b.entropy.length - a.entropy.length,
    short: (a, b) => a.entropy.length - b.entropy.length,
  };

  function filterList() {
    const words = at("search").value.toLowerCase();
    const [difficulty, verdict, benchmark] = ["difficulty", "verdict", "benchmark"].map((id) => at(id).value);
    const anyBenchmark = at("benchmark").selectedIndex < 1;
    state.listed = traces.filter((trace) =>
      (!difficulty || (trace.difficulty || "none") === difficulty) &&
      (!verdict || trace.verdict === verdict) &&
      (anyBenchmark || trace.benchmark === benchmark) &&
      (!words || [trace.id, trace.prompt, trace.text].some((text) => text.toLowerCase().includes(words))));
    state.listed.sort((a, b) => ORDERS[at("order").value](a, b) || a.index - b.index);
    at("list").replaceChildren(...state.listed.map((trace) => trace.item));
    const of = state.listed.length === traces.length ? "" : `${whole(state.listed.length)} of `;
    at("shown").textContent = `${of}${whole(traces.length)} trace${traces.length > 1 ? "s" : ""}`;
  }

  // ---------------------------------------------------------------- one trace
  function openTrace(index) {
    const trace = traces[index];
    state.current = index;
    state.pinned = -1;
    hideCard();
    for (const other of traces) other.item.firstChild.setAttribute("aria-current", String(other === trace));
    at("name").textContent = visible(trace.id);
    at("prompt").textContent = visible(trace.prompt);
    at("prompt-box").hidden = !trace.prompt;
    at("prompt-box").open = trace.prompt.length < 1200;
    spans = trace.tokens.map((word, t) => tokenSpan(data.words[word], t));
    at("text").replaceChildren(...spans);
    at("cut").hidden = !trace.cut_from;
    at("cut").textContent = `Shown up to here; the response has ${whole(trace.cut_from)} tokens.`;
    at("answer").replaceChildren(...[["answer", trace.answer], ["expected", trace.gold]]
      .filter(([, text]) => text)
      .flatMap(([name, text]) => [make("dt", "", name), make("dd", "", visible(text))]));
    showMarks();
  }

  function tokenSpan(word, t) {
    const span = make("span", /^\s*\n/.test(word) ? "break" : "", visible(word));
    span.tabIndex = -1;
    span.dataset.t = t;
    return span;
  }

  function showMarks() {
    const trace = traces[state.current];
    const byWindow = at("colour-window").checked;
    spans.forEach((span, t) => {
      const colour = level((byWindow ? trace.window : trace.entropy)[t]);
      const hwe = marked(trace, t);
      span.className = [span.classList.contains("break") ? "break" : "", colour > 0 ? `h${colour}` : "",
        hwe ? "hwe" : "", hwe && trace.trigger[t] ? "trigger" : ""].filter(Boolean).join(" ");
    });
    at("scale-name").textContent = byWindow ? "window entropy" : "token entropy";
    showFacts(trace);
    drawProfile(trace);
  }

  function showFacts(trace) {
    const known = trace.verdict !== "unknown";
    const texts = [trace.difficulty, visible(trace.benchmark), `${whole(trace.entropy.length)} tokens`,
      `mean entropy ${trace.mean.toFixed(3)} nats`,
      `${whole(trace.hwe)} HWE, ${whole(trace.validated)} on triggers`,
      trace.finish === "length" ? "cut at the length limit" : ""];
    at("facts").replaceChildren(
      ...(known ? [make("span", trace.verdict, `${SIGNS[trace.verdict]} ${trace.verdict}`)] : []),
      ...texts.filter(Boolean).map((text) => make("span", "", text)));
  }

  // ---------------------------------------------------------------- profile
  function draw(name, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  }

  function drawProfile(trace) {
    const length = trace.entropy.length;
    const high = Math.max(top, trace.entropy.reduce((most, value) => Math.max(most, value), 0));
    const x = (t) => (1000 * t) / Math.max(1, length);
    const y = (value) => 112 - (104 * value) / high;
    // Where tokens are finer than the picture, each step shows the highest of its tokens.
    const step = Math.max(1, Math.ceil(length / 500));
    const highest = (values) => values.reduce((most, value) => (value > most ? value : most), -1);
    let bars = "", curve = "", ticks = "";
    for (let t = 0; t < length; t += step) {
      const middle = x(t + step / 2).toFixed(2);
      const mean = highest(trace.window.subarray(t, t + step));
      const most = highest(trace.entropy.subarray(t, t + step));
      bars += `M${x(t).toFixed(2)} 112V${y(most).toFixed(2)}h${(x(step) * 0.86).toFixed(2)}V112z`;
      if (mean >= 0) curve += `${curve ? "L" : "M"}${middle} ${y(mean).toFixed(2)}`;
      const inside = Array.from({ length: Math.min(step, length - t) }, (_, s) => t + s);
      if (inside.some((s) => marked(trace, s))) ticks += `M${middle} 114V120`;
    }
    const parts = [draw("path", { class: "bars", d: bars }), draw("path", { class: "curve", d: curve })];
    if (!Number.isNaN(state.theta)) {
      parts.push(draw("line", { class: "theta", x1: 0, x2: 1000, y1: y(state.theta), y2: y(state.theta) }));
    }
    parts.push(draw("path", { class: "ticks", d: ticks }));
    at("profile").replaceChildren(...parts);
    showPlace();
  }

  function showPlace() {
    at("profile").querySelector(".here")?.remove();
    if (state.pinned < 0) return;
    const x = (1000 * (state.pinned + 0.5)) / spans.length;
    at("profile").append(draw("line", { class: "here", x1: x, x2: x, y1: 0, y2: 120 }));
  }

  // ---------------------------------------------------------------- card of a token
  function showCard(t) {
    const trace = traces[state.current];
    const card = at("card");
    const rows = [["token", `${whole(t + 1)} of ${whole(spans.length)}`],
      ["entropy", `${trace.entropy[t].toFixed(3)} nats`],
      [`window of ${state.window}`, Number.isNaN(trace.window[t]) ? "runs over the end" : `${trace.window[t].toFixed(3)} nats`],
      ["threshold", Number.isNaN(state.theta) ? "none" : `${state.theta.toFixed(3)} nats`]];
    const numbers = make("dl");
    for (const [name, value] of rows) numbers.append(make("dt", "", name), make("dd", "", value));
    const category = data.categories[data.category[trace.tokens[t]]];
    const says = [marked(trace, t) ? "HWE token" : "", category ? `reasoning trigger: ${category}` : ""];
    const parts = [make("span", "token", quoted(data.words[trace.tokens[t]])), numbers];
    if (says.some(Boolean)) parts.push(make("div", "says", says.filter(Boolean).join(", ")));
    if (trace.choices[t]) parts.push(choiceList(trace.choices[t], trace.tokens[t]));
    card.replaceChildren(...parts);
    card.hidden = false;
    document.body.classList.add("reading");
    const box = spans[t].getBoundingClientRect();
    const left = Math.min(Math.max(8, box.left), document.documentElement.clientWidth - card.offsetWidth - 8);
    const below = box.bottom + 8 + card.offsetHeight < window.innerHeight;
    card.style.left = `${left + window.scrollX}px`;
    card.style.top = `${(below ? box.bottom + 8 : Math.max(4, box.top - card.offsetHeight - 8)) + window.scrollY}px`;
  }

  const quoted = (word) => visible(word).replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/^ | $/g, "␣") || "(empty)";

  function choiceList(choices, sampled) {
    const list = make("ul");
    for (const [word, probability] of choices) {
      const item = make("li", word === sampled ? "sampled" : "");
      const bar = make("i");
      bar.style.width = `${Math.min(100, 100 * probability)}%`;
      const percent = probability >= 0.0005 ? `${(100 * probability).toFixed(1)} %` : "<0.1 %";
      item.append(make("b", "", quoted(data.words[word])), bar, make("em", "", percent));
      list.append(item);
    }
    return list;
  }

  function hideCard() {
    at("card").hidden = true;
    document.body.classList.remove("reading");
  }

  function pin(t, focus) {
    if (t < 0 || t >= spans.length) return;
    spans[state.pinned]?.classList.remove("on");
    state.pinned = t;
    if (focus) {
      spans[t].focus({ preventScroll: true });
      spans[t].scrollIntoView({ block: "nearest" });
    }
    showCard(t);
    showPlace();
  }

  function nextMark(from, direction) {
    let t = from + direction;
    while (t >= 0 && t < spans.length && !marked(traces[state.current], t)) t += direction;
    return t;
  }

  // ---------------------------------------------------------------- what a person does
  const narrow = window.matchMedia("(max-width: 820px)");
  const tokenOf = (event) => (event.target.dataset?.t === undefined ? -1 : Number(event.target.dataset.t));
  let waiting = 0;
  const later = (work) => {
    window.cancelAnimationFrame(waiting);
    waiting = window.requestAnimationFrame(work);
  };

  function recompute() {
    if (state.computed !== state.window) newWindow();
    newThreshold();
    showNumbers();
    showMarks();
    if (["hwe", "share"].includes(at("order").value)) filterList();
    if (state.pinned >= 0 && !at("card").hidden) showCard(state.pinned);
  }

  for (const id of ["window", "percentile"]) {
    at(id).addEventListener("input", () => {
      state[id] = Number(at(id).value);
      later(recompute);
    });
  }
  at("only-triggers").addEventListener("change", recompute);
  at("colour-window").addEventListener("change", showMarks);
  at("reset").addEventListener("click", () => {
    reset();
    recompute();
  });
  for (const id of ["search", "difficulty", "verdict", "benchmark", "order"]) at(id).addEventListener("input", filterList);
  for (const [id, step] of [["previous", -1], ["next", 1]]) {
    at(id).addEventListener("click", () => {
      const place = state.listed.indexOf(traces[state.current]) + step;
      const next = state.listed[Math.min(state.listed.length - 1, Math.max(0, place))];
      if (next) {
        openTrace(next.index);
        next.item.scrollIntoView({ block: "nearest" });
      }
    });
  }
  at("text").addEventListener("mouseover", (event) => {
    if (tokenOf(event) >= 0) showCard(tokenOf(event));
  });
  at("text").addEventListener("mouseleave", () => {
    if (state.pinned >= 0 && at("text").contains(document.activeElement)) showCard(state.pinned);
    else hideCard();
  });
  at("text").addEventListener("click", (event) => {
    if (tokenOf(event) >= 0) pin(tokenOf(event), true);
  });
  at("text").addEventListener("focusin", (event) => {
    if (tokenOf(event) >= 0 && tokenOf(event) !== state.pinned) pin(tokenOf(event), false);
  });
  at("text").addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const here = state.pinned;
    const moves = {
      ArrowRight: here + 1, ArrowLeft: Math.max(0, here - 1), Home: 0, End: spans.length - 1,
      ArrowDown: Math.min(spans.length - 1, here + 10), ArrowUp: Math.max(0, here - 10),
      n: nextMark(here, 1), p: nextMark(here < 0 ? spans.length : here, -1),
    };
    if (event.key === "Escape") {
      hideCard();
    } else if (event.key in moves) {
      event.preventDefault();
      pin(moves[event.key], true);
    }
  });
  document.addEventListener("click", (event) => {
    if (!at("text").contains(event.target) && !at("profile").contains(event.target)) hideCard();
  });
  at("profile").addEventListener("click", (event) => {
    const box = at("profile").getBoundingClientRect();
    const t = Math.min(spans.length - 1, Math.floor(((event.clientX - box.left) / box.width) * spans.length));
    spans[t]?.scrollIntoView({ block: "center" });
    pin(t, true);
  });
  at("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  });

  // ---------------------------------------------------------------- start
  function reset() {
    for (const [id, low, high] of [["window", 1, 32], ["percentile", 50, 99.9]]) {
      state[id] = data[id];
      at(id).min = Math.min(low, data[id]);
      at(id).max = Math.max(high, data[id]);
      at(id).value = data[id];
    }
    at("only-triggers").checked = false;
  }

  function buildScale() {
    for (let i = 0; i < LEVELS; i += 1) at("scale").append(make("i", `h${i}`));
    at("scale-top").textContent = `${top} nats or more`;
  }

  function writeAbout() {
    for (const text of data.about) at("about").append(make("p", "", text));
    const number = traces.length === data.total ? whole(data.total) : `${whole(traces.length)} of ${whole(data.total)}`;
    at("file").textContent = `${visible(data.file)} · ${number} trace${data.total > 1 ? "s" : ""}`;
    document.title = `Entropy of ${visible(data.file)}`;
  }

  document.documentElement.dataset.theme =
    window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  at("browse").open = !narrow.matches;
  reset();
  buildScale();
  writeAbout();
  newWindow();
  newThreshold();
  buildList();
  showNumbers();
  openTrace(0);
  document.documentElement.dataset.ready = "true";
})();
