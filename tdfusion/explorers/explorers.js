// The explorers of tdfusion in the browser. One script for two lives: in a notebook it talks to Python through the
// model that anywidget hands to `render`; on a page without a kernel `startTwin` puts a small model in its place.

// --- small things

function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "circle", "rect", "text", "g", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return node;
}

const clamp = (v, low, high) => Math.min(Math.max(v, low), high);
const show = (v, digits = 3) => (v === null || Number.isNaN(v) ? "undefined" : v.toFixed(digits));
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

const decoded = new WeakMap();

// An image as Python packed it: 256 levels, rows of differences, deflated, base64 (planes.py).
function plane(packed) {
  if (!decoded.has(packed)) decoded.set(packed, unpack(packed));
  return decoded.get(packed);
}

async function unpack({ c, h, w, low, high, z }) {
  const stream = new Blob([bytes(z)]).stream().pipeThrough(new DecompressionStream("deflate"));
  const levels = new Uint8Array(await new Response(stream).arrayBuffer());
  const values = new Float32Array(levels.length);
  for (let row = 0; row < c * h; row++) {
    let level = 0;
    for (let i = row * w; i < (row + 1) * w; i++) {
      level = (level + levels[i]) & 255;
      values[i] = low + (level / 255) * (high - low);
    }
  }
  return made(values, w, h, low, high, c);
}

function made(values, w, h, low = 0, high = 1, c = 1) {
  return { values, w, h, c, low, high, at: (x, y) => values[y * w + x] };
}

function combined(a, b, of) {
  return made(a.values.map((v, i) => of(v, b.values[i])), a.w, a.h);
}

// Paint a plane: gray, in colour where it has three channels, or through a table of 256 colours.
function paint(canvas, image, { table = null, low = 0, high = 1, tint = null } = {}) {
  const { w, h, c, values } = image;
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  const drawn = context.createImageData(w, h);
  const span = high > low ? high - low : 1;
  for (let i = 0; i < w * h; i++) {
    for (let k = 0; k < 3; k++) {
      const v = values[c === 3 ? k * w * h + i : i];
      let level = clamp(Math.round(((v - low) / span) * 255), 0, 255);
      if (table) level = table[3 * level + k];
      drawn.data[4 * i + k] = level;
    }
    drawn.data[4 * i + 3] = 255;
    for (const { colour, share } of tint ? tint(i) : [])
      for (let k = 0; k < 3; k++)
        drawn.data[4 * i + k] = (1 - share) * drawn.data[4 * i + k] + share * colour[k];
  }
  context.putImageData(drawn, 0, 0);
}

// --- controls, in step with the model

function Ui(model, root) {
  const bound = [];
  let timer = null;
  const save = () => {
    timer = null;
    model.save_changes();
  };
  const ui = {
    model,
    root,
    get: (name) => model.get(name),
    set(name, value) {
      model.set(name, value);
      timer ??= setTimeout(save, 40); // a pointer moves faster than a kernel answers
    },
    on(names, react) {
      for (const name of names) {
        model.on(`change:${name}`, react);
        bound.push([name, react]);
      }
    },
    stop() {
      for (const [name, react] of bound) model.off(`change:${name}`, react);
    },
    select(label, name, options) {
      const box = h("select", { onchange: () => ui.set(name, options[box.selectedIndex][0]) });
      box.append(...options.map(([, text]) => h("option", {}, text)));
      const follow = () => {
        box.selectedIndex = options.findIndex(([value]) => value === ui.get(name));
      };
      ui.on([name], follow);
      follow();
      return h("label", {}, h("span", {}, label), box);
    },
    // `values`: how many steps, the value of a step, the step of a value, and how a value is said
    slider(label, name, { count, value = (i) => i, step = (v) => v, say = String }) {
      const said = h("output", { "aria-live": "off" });
      const bar = h("input", {
        type: "range", min: 0, max: count - 1, step: 1, disabled: count < 2,
        oninput: () => ui.set(name, value(+bar.value)),
      });
      const follow = () => {
        bar.value = step(ui.get(name));
        said.textContent = say(ui.get(name));
        bar.setAttribute("aria-valuetext", said.textContent);
      };
      ui.on([name], follow);
      follow();
      return h("label", { class: "tdx-slider" }, h("span", {}, label, " ", said), bar);
    },
    check(label, name, possible = true) {
      const box = h("input", { type: "checkbox", disabled: !possible, onchange: () => ui.set(name, box.checked) });
      const follow = () => {
        box.checked = ui.get(name);
      };
      ui.on([name], follow);
      follow();
      return h("label", { class: "tdx-check" }, box, label);
    },
    // Run an asynchronous drawing after changes; only the last one that was asked for gets to paint.
    drawing(names, gather, draw) {
      let asked = 0;
      const redraw = async () => {
        const turn = ++asked;
        const gathered = await gather();
        if (turn !== asked) return;
        draw(gathered);
        root.dataset.drawn = +(root.dataset.drawn || 0) + 1;
      };
      ui.on(names, redraw);
      return redraw();
    },
  };
  return ui;
}

const bar = (...children) => h("div", { class: "tdx-bar" }, ...children);
const reading = () => h("output", { class: "tdx-reading", "aria-live": "polite" });

// A picture with a vector layer on it, its title, and a colour bar where `table` is given.
function Panel(title, table = null) {
  const canvas = h("canvas", { role: "img", "aria-label": title });
  const layer = h("svg", { preserveAspectRatio: "none", "aria-hidden": "true" });
  const scale = table ? h("span", { class: "tdx-scale" }, h("b"), h("i"), h("b")) : null;
  if (scale) {
    const at = (i) => `rgb(${table.slice(3 * i, 3 * i + 3).join(",")})`;
    const stops = Array.from({ length: 16 }, (_, i) => at(17 * i));
    scale.children[1].style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  }
  const picture = h("div", { class: "tdx-picture" }, canvas, layer);
  const node = h("figure", { class: "tdx-panel" }, picture, h("figcaption", {}, h("span", {}, title), scale));
  return {
    node, picture, canvas, layer,
    paint(image, how = {}, marks = []) {
      paint(canvas, image, { table, ...how });
      layer.setAttribute("viewBox", `0 0 ${image.w} ${image.h}`);
      layer.replaceChildren(...marks);
      if (!scale) return;
      scale.children[0].textContent = show(how.low ?? 0);
      scale.children[2].textContent = show(how.high ?? 1);
    },
  };
}

function crosshair([x, y], { w, h: height }) {
  const d = `M${x + 0.5} 0V${y - 2}M${x + 0.5} ${y + 3}V${height}M0 ${y + 0.5}H${x - 2}M${x + 3} ${y + 0.5}H${w}`;
  const square = { x, y, width: 1, height: 1 };
  return h("g", { class: "tdx-cross" }, ["tdx-halo", "tdx-line"].map((name) =>
    h("g", { class: name }, h("path", { d }), h("rect", square))));
}

// Panels that share one pixel: the pointer or the arrow keys move it.
function probe(ui, panels, { hover, describedBy }) {
  const size = () => [panels[0].canvas.width, panels[0].canvas.height];
  const move = (x, y) => {
    const [w, height] = size();
    const next = [clamp(x, 0, w - 1), clamp(y, 0, height - 1)];
    if (String(next) !== String(ui.get("pixel"))) ui.set("pixel", next);
  };
  for (const { picture } of panels) {
    const follow = (event) => {
      if (!hover && event.pointerType === "mouse" && !event.buttons) return;
      const at = picture.getBoundingClientRect();
      const [w, height] = size();
      move(Math.floor(((event.clientX - at.left) / at.width) * w),
        Math.floor(((event.clientY - at.top) / at.height) * height));
    };
    picture.addEventListener("pointerdown", follow);
    picture.addEventListener("pointermove", follow);
  }
  return h("div", {
    class: "tdx-panels", tabindex: 0, role: "application", "aria-roledescription": "pixel probe",
    "aria-label": "Pixel probe. Arrow keys move it, with Shift by eight pixels; Home leads to the middle.",
    "aria-describedby": describedBy,
    onkeydown: (event) => {
      const [x, y] = ui.get("pixel");
      const by = event.shiftKey ? 8 : 1;
      const [w, height] = size();
      const to = {
        ArrowLeft: [x - by, y], ArrowRight: [x + by, y], ArrowUp: [x, y - by], ArrowDown: [x, y + by],
        Home: [w >> 1, height >> 1],
      }[event.key];
      if (!to) return;
      event.preventDefault();
      move(...to);
    },
  }, panels.map((panel) => panel.node));
}

let lastId = 0;
function named(node) {
  node.id = `tdx-${Date.now().toString(36)}-${++lastId}`;
  return node;
}

const scenes = (ui) => ui.select("scene", "scene", ui.get("data").scenes.map((scene, i) => [i, scene.name]));

// --- (a) what G wrote

async function weights(ui) {
  const data = ui.get("data");
  const [orange, purple] = [[230, 97, 1], [94, 60, 153]];
  const weightTable = bytes(data.weightMap);
  const panels = {
    ir: Panel("infrared"), vi: Panel("visible"), fused: Panel("fused"), a: Panel("w_a, infrared", weightTable),
    b: Panel("w_b, visible", weightTable), difference: Panel("|w_SS − w_OD|", bytes(data.differenceMap)),
  };
  const of = (task) => data.written.filter((w) => w.task === task && w.variant === ui.get("variant"));
  const mine = () => of(ui.get("task"));
  const current = () => mine().find((w) => w.epoch === ui.get("epoch")) ?? mine()[mine().length - 1];
  const nearest = (task) => {
    const [has, epoch] = [of(task), ui.get("epoch")];
    const before = has.filter((w) => w.epoch <= epoch);
    return before.length ? before[before.length - 1] : has[0];
  };
  const values = (name) => [...new Set(data.written.map((w) => w[name]))];

  const epochs = h("span", { class: "tdx-epochs" });
  const play = h("button", { type: "button", "aria-pressed": "false" }, "play");
  let timer = null;
  const pause = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "play";
    play.setAttribute("aria-pressed", "false");
  };
  const step = () => {
    const has = mine().map((w) => w.epoch);
    const next = has.indexOf(ui.get("epoch")) + 1;
    if (next >= has.length) pause();
    else ui.set("epoch", has[next]);
  };
  play.addEventListener("click", () => {
    if (timer) return pause();
    const has = mine().map((w) => w.epoch);
    if (ui.get("epoch") === has[has.length - 1]) ui.set("epoch", has[0]);
    play.textContent = "pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(step, 700);
  });
  const offer = () => { // the epochs of the run on show
    const has = mine().map((w) => w.epoch);
    if (!has.length) {
      const first = data.written.find((w) => w.task === ui.get("task"));
      return ui.set("variant", first.variant);
    }
    if (!has.includes(ui.get("epoch"))) ui.set("epoch", has[has.length - 1]);
    const slider = ui.slider("after epoch", "epoch",
      { count: has.length, value: (i) => has[i], step: (v) => has.indexOf(v), say: (v) => `${v}` });
    play.disabled = has.length < 2;
    epochs.replaceChildren(slider);
  };
  offer();
  ui.on(["task", "variant"], offer);

  const said = named(reading());
  const means = h("p", { class: "tdx-note" });
  const area = probe(ui, Object.values(panels), { hover: true, describedBy: said.id });
  const has = (name) => data.scenes.some((scene) => scene[name]);
  ui.root.append(
    bar(scenes(ui), ui.select("task", "task", values("task").map((v) => [v, v])),
      ui.select("variant", "variant", values("variant").map((v) => [v, v])), epochs, play),
    bar(ui.check("classes", "classes", has("classes")), ui.check("boxes", "boxes", has("boxes")),
      ui.check("known optimum", "optimum", has("optimum")), ui.check("weights on their own range", "stretch")),
    area, said, means);

  await ui.drawing(
    ["scene", "task", "variant", "epoch", "classes", "boxes", "optimum", "stretch", "pixel"],
    async () => {
      const [scene, i, now] = [data.scenes[ui.get("scene")], ui.get("scene"), current()];
      const pair = ["segmentation", "detection"].map(nearest);
      const packed = [scene.ir, scene.vi, now.fused[i], now.w_a[i], scene.classes, scene.optimum];
      if (pair.every(Boolean)) packed.push(...pair.map((w) => w.w_a[i]));
      const got = await Promise.all(packed.map((one) => one && plane(one)));
      return { scene, now, pair, got };
    },
    ({ scene, now, pair, got: [ir, vi, fused, a, classes, optimum, ss, od] }) => {
      const b = combined(a, a, (v) => 1 - v);
      const difference = ss ? combined(ss, od, (s, d) => Math.abs(s - d)) : null;
      const tint = (i) => {
        const over = [];
        if (ui.get("classes") && classes) over.push({ colour: data.palette[Math.round(classes.values[i])], share: 0.5 });
        const best = ui.get("optimum") && optimum ? data.optimumNames[Math.round(optimum.values[i])] : "";
        if (best === "infrared") over.push({ colour: orange, share: 0.55 });
        if (best === "visible") over.push({ colour: purple, share: 0.55 });
        return over;
      };
      const boxes = () => (ui.get("boxes") ? scene.boxes ?? [] : []).map(([kind, x1, y1, x2, y2]) =>
        h("rect", { class: "tdx-box", x: x1, y: y1, width: x2 - x1, height: y2 - y1,
          style: `stroke: rgb(${data.boxColours[kind]})` }, h("title", {}, data.boxNames[kind])));
      const [x, y] = ui.get("pixel").map((v, k) => clamp(v, 0, (k ? ir.h : ir.w) - 1));
      const marks = () => [...boxes(), crosshair([x, y], ir)];
      const own = ui.get("stretch");
      panels.ir.paint(ir, { tint }, marks());
      panels.vi.paint(vi, { tint }, marks());
      panels.fused.paint(fused, { tint }, marks());
      panels.a.paint(a, own ? { low: a.low, high: a.high } : {}, marks());
      panels.b.paint(b, own ? { low: 1 - a.high, high: 1 - a.low } : {}, marks());
      panels.difference.node.classList.toggle("tdx-empty", !difference);
      const largest = difference ? difference.values.reduce((m, v) => Math.max(m, v), 0) : 1;
      if (difference) panels.difference.paint(difference, { high: own ? largest : 1 }, marks());
      const parts = [`pixel (${x}, ${y})`, `I_a ${show(ir.at(x, y))}`, `I_b ${show(vi.at(x, y))}`,
        `I_f ${show(fused.at(x, y))}`, `w_a ${show(a.at(x, y))}`, `w_b ${show(b.at(x, y))}`];
      if (difference) parts.push(`|w_SS − w_OD| ${show(difference.at(x, y))}`);
      if (classes) parts.push(data.classNames[Math.round(classes.at(x, y))]);
      if (optimum) parts.push(`carried by ${data.optimumNames[Math.round(optimum.at(x, y))]}`);
      said.textContent = parts.join(" · ");
      const mean = Object.entries(now.means[ui.get("scene")]).map(([where, v]) => `${show(v)} ${where}`);
      means.textContent = `Mean of w_a: ${mean.join(", ")}.` + (ui.get("optimum") ? " Optimum: orange infrared, purple visible." : "")
        + (difference ? ` Difference between epoch ${pair[0].epoch} (segmentation) and ${pair[1].epoch} (detection).`
          : " The difference between tasks needs a run of each.");
    });
  return pause;
}

// --- (b) what the loss wants at a pixel or in a region

// Sobel derivatives at (x, y); outside the image is 0.
function sobel(get, x, y) {
  const [nw, n, ne, w, e, sw, s, se] = [[-1, -1], [0, -1], [1, -1], [-1, 0], [1, 0], [-1, 1], [0, 1], [1, 1]]
    .map(([dx, dy]) => get(x + dx, y + dy));
  return [ne + 2 * e + se - nw - 2 * w - sw, sw + 2 * s + se - nw - 2 * n - ne];
}

const inImage = (image) => (x, y) => (x < 0 || y < 0 || x >= image.w || y >= image.h ? 0 : image.at(x, y));

// Per tried value: mean square distances to the sources in the region, and L_grad around it, per pixel of the region.
function regionLosses(ir, vi, rest, [x1, y1, x2, y2], tried, variant, mix) {
  const [a, b, r] = [ir, vi, rest].map(inImage);
  const near = [];
  for (let y = Math.max(y1 - 1, 0); y < Math.min(y2 + 1, ir.h); y++)
    for (let x = Math.max(x1 - 1, 0); x < Math.min(x2 + 1, ir.w); x++) {
      const [ga, gb] = [sobel(a, x, y), sobel(b, x, y)];
      const strength = (g) => Math.abs(g[0]) + Math.abs(g[1]);
      const wanted = variant === "paper" ? Math.max(strength(ga), strength(gb))
        : [0, 1].map((k) => (Math.abs(ga[k]) >= Math.abs(gb[k]) ? ga[k] : gb[k]));
      near.push([x, y, wanted]);
    }
  const pixels = (x2 - x1) * (y2 - y1);
  const found = { toA: [], toB: [], gradient: [] };
  const wide = ir.w + 2; // the candidate, with the zero padding around it
  const candidate = new Float64Array(wide * (ir.h + 2));
  for (let y = 0; y < ir.h; y++) for (let x = 0; x < ir.w; x++) candidate[(y + 1) * wide + x + 1] = r(x, y);
  const get = (x, y) => candidate[(y + 1) * wide + x + 1];
  for (const s of tried) {
    let [toA, toB, gradient] = [0, 0, 0];
    for (let y = y1; y < y2; y++)
      for (let x = x1; x < x2; x++) {
        const f = mix ? s * a(x, y) + (1 - s) * b(x, y) : s;
        candidate[(y + 1) * wide + x + 1] = f;
        toA += (f - a(x, y)) ** 2;
        toB += (f - b(x, y)) ** 2;
      }
    for (const [x, y, wanted] of near) {
      const [gx, gy] = sobel(get, x, y);
      gradient += variant === "paper" ? Math.abs(Math.abs(gx) + Math.abs(gy) - wanted)
        : Math.abs(gx - wanted[0]) + Math.abs(gy - wanted[1]);
    }
    found.toA.push(toA / pixels);
    found.toB.push(toB / pixels);
    found.gradient.push(gradient / pixels);
  }
  return found;
}

// Curves over 0 to 1, with vertical marks.
function Chart(label, names) {
  const [w, height, left, bottom] = [440, 250, 44, 34];
  const svg = h("svg", { class: "tdx-chart", viewBox: `0 0 ${w} ${height}`, role: "img", "aria-label": label });
  const x = (v) => left + v * (w - left - 12);
  return {
    svg,
    draw(curves, marks, below, words) {
      const top = Math.max(...curves.flat(), 1e-9) * 1.05;
      const y = (v) => height - bottom - (v / top) * (height - bottom - 26);
      const path = (c) => c.map((v, i) => `${i ? "L" : "M"}${x(i / (c.length - 1)).toFixed(1)} ${y(v).toFixed(1)}`).join("");
      const ticks = [0, 0.25, 0.5, 0.75, 1];
      svg.setAttribute("aria-label", `${label}. ${words}`);
      svg.replaceChildren(
        h("path", { class: "tdx-axis", d: `M${left} 20V${height - bottom}H${w - 12}` }),
        ...ticks.map((t) => h("text", { x: x(t), y: height - bottom + 14, "text-anchor": "middle" }, String(t))),
        ...[0, top / 2, top].map((t) => h("text", { x: left - 4, y: y(t) + 4, "text-anchor": "end" }, t.toPrecision(2))),
        h("text", { x: (left + w) / 2, y: height - 4, "text-anchor": "middle" }, below),
        ...marks.map(([v, kind]) => h("line", { class: `tdx-mark tdx-${kind}`, x1: x(v), x2: x(v), y1: 20, y2: height - bottom })),
        ...curves.map((curve, i) => h("path", { class: `tdx-curve tdx-c${i}`, d: path(curve) })),
        ...names.flatMap((name, i) => [
          h("line", { class: `tdx-curve tdx-c${i}`, x1: left + 8 + 120 * i, x2: left + 32 + 120 * i, y1: 9, y2: 9 }),
          h("text", { x: left + 38 + 120 * i, y: 13 }, name)]));
    },
  };
}

async function landscape(ui) {
  const data = ui.get("data");
  const panels = [Panel("infrared"), Panel("visible"), Panel("what the sum of both terms wants")];
  const chart = Chart("Loss against the value of the region", ["L_int", "α L_grad", "sum"]);
  const said = named(reading());
  const pairs = (names) => names.map((v) => [v, v]);
  const fine = { count: 101, value: (i) => i / 100, step: (v) => Math.round(v * 100), say: (v) => v.toFixed(2) };
  const outside = ui.select("outside it", "rest", pairs(["mean", "maximum", "infrared", "visible", ...data.fused]));
  ui.root.append(
    bar(scenes(ui), ui.select("region", "region", pairs(Object.keys(data.regions))), outside,
      ui.select("variant", "variant", pairs(["paper", "released"]))),
    bar(ui.slider("w_a", "w_a", fine),
      ui.slider("α", "alpha", { count: 201, value: fine.value, step: fine.step, say: fine.say })),
    probe(ui, panels, { hover: false, describedBy: said.id }), chart.svg, said);
  const tried = Array.from({ length: data.points }, (_, i) => i / (data.points - 1));
  let [key, found] = ["", null]; // L_grad and the distances do not depend on w_a and alpha

  await ui.drawing(
    ["scene", "region", "rest", "variant", "w_a", "alpha", "pixel"],
    async () => {
      const scene = data.scenes[ui.get("scene")];
      const [ir, vi] = await Promise.all([plane(scene.ir), plane(scene.vi)]);
      const simple = {
        mean: (p, q) => (p + q) / 2, maximum: Math.max, infrared: (p) => p, visible: (_, q) => q,
      }[ui.get("rest")];
      return [ir, vi, simple ? combined(ir, vi, simple) : await plane(scene.fused[ui.get("rest")])];
    },
    ([ir, vi, rest]) => {
      const side = data.regions[ui.get("region")];
      outside.querySelector("select").disabled = !side; // nothing is outside the whole scene
      const [x, y] = ui.get("pixel").map((v, k) => clamp(v, 0, (k ? ir.h : ir.w) - 1));
      const [before, after] = [Math.floor(side / 2), side - Math.floor(side / 2)];
      const box = side ? [Math.max(x - before, 0), Math.max(y - before, 0), Math.min(x + after, ir.w), Math.min(y + after, ir.h)]
        : [0, 0, ir.w, ir.h];
      const [mix, variant] = [side !== 1, ui.get("variant")];
      const now = [ui.get("scene"), ui.get("rest"), variant, ...box].join();
      if (now !== key) [key, found] = [now, regionLosses(ir, vi, rest, box, tried, variant, mix)];
      const [a, b] = [ui.get("w_a"), 1 - ui.get("w_a")].map((w) => (variant === "paper" ? w : w * w));
      const intensity = tried.map((_, i) => a * found.toA[i] + b * found.toB[i]);
      const gradient = found.gradient.map((v) => ui.get("alpha") * v);
      const sum = intensity.map((v, i) => v + gradient[i]);
      const share = a / (a + b);
      const ofInt = mix ? share : share * ir.at(x, y) + (1 - share) * vi.at(x, y);
      const best = sum.reduce((least, v, i) => (v < sum[least] ? i : least), 0);
      const ofBoth = tried[best];
      const pulled = made(rest.values.slice(), rest.w, rest.h);
      for (let v = box[1]; v < box[3]; v++)
        for (let u = box[0]; u < box[2]; u++)
          pulled.values[v * rest.w + u] = mix ? ofBoth * ir.at(u, v) + (1 - ofBoth) * vi.at(u, v) : ofBoth;
      const marks = () => (side === 1 ? [crosshair([x, y], ir)] : [h("rect", {
        class: "tdx-region", x: box[0], y: box[1], width: box[2] - box[0], height: box[3] - box[1] })]);
      [ir, vi, pulled].forEach((image, i) => panels[i].paint(image, {}, marks()));
      const what = mix ? "share of infrared" : "gray value";
      const where = side === 1 ? `pixel (${x}, ${y}): infrared ${show(ir.at(x, y))}, visible ${show(vi.at(x, y))}` : ui.get("region");
      const words = `L_int alone pulls to ${what} ${show(ofInt)} (closed form), L_int + α L_grad to ${show(ofBoth)}`;
      chart.draw([intensity, gradient, sum], [[ofInt, "int"], [ofBoth, "sum"]],
        mix ? "share s of infrared: s I_a + (1 − s) I_b" : "value of the pixel", words);
      said.textContent = `${where} · ${words} · at that value L_int ${show(intensity[best], 4)}, α L_grad ${show(gradient[best], 4)}`;
    });
}

// --- (c) two images under a divider

async function lens(ui) {
  const data = ui.get("data");
  const names = data.names.map((name) => [name, name]);
  const [left, right] = [h("canvas", { role: "img" }), h("canvas", { role: "img" })];
  const [line, one, other] = [h("span", { class: "tdx-divider" }), h("b"), h("b")];
  const area = h("div", { class: "tdx-wipe" }, left, right, line, one, other);
  const follow = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const at = area.getBoundingClientRect();
    ui.set("divider", clamp(Math.round(((event.clientX - at.left) / at.width) * 100), 0, 100));
  };
  area.addEventListener("pointerdown", (event) => {
    area.setPointerCapture(event.pointerId);
    follow(event);
  });
  area.addEventListener("pointermove", follow);
  ui.root.append(
    bar(scenes(ui), ui.select("left", "left", names), ui.select("right", "right", names)), area,
    bar(ui.slider("divider", "divider", { count: 101, step: Math.round, say: (v) => `${Math.round(v)} %` })));
  const cut = () => {
    right.style.clipPath = `inset(0 0 0 ${ui.get("divider")}%)`;
    line.style.left = `${ui.get("divider")}%`;
  };
  ui.on(["divider"], cut);
  cut();
  await ui.drawing(
    ["scene", "left", "right"],
    () => Promise.all(["left", "right"].map((which) =>
      plane(data.scenes[ui.get("scene")].images[data.names.indexOf(ui.get(which))]))),
    (images) => {
      [left, right].forEach((canvas, i) => paint(canvas, images[i]));
      [one.textContent, other.textContent] = [ui.get("left"), ui.get("right")];
      left.setAttribute("aria-label", `left of the divider: ${ui.get("left")}`);
      right.setAttribute("aria-label", `right of the divider: ${ui.get("right")}`);
    });
}

// --- (d) six metrics of a spoiled image

async function playground(ui) {
  const data = ui.get("data");
  const panels = [Panel("infrared"), Panel("visible"), Panel("fused, spoiled")];
  const said = reading();
  const rows = data.metrics.map((metric) => {
    const cells = [h("td"), h("td"), h("td")];
    const svg = h("svg", { viewBox: "0 0 120 28", "aria-hidden": "true" });
    return { metric, cells, svg, node: h("tr", {}, h("th", { scope: "row" }, metric), ...cells, h("td", {}, svg)) };
  });
  const heads = ["metric", "unspoiled", "now", "change", "over the amounts"];
  const table = h("table", { class: "tdx-table" },
    h("thead", {}, h("tr", {}, ...heads.map((text) => h("th", { scope: "col" }, text)))),
    h("tbody", {}, ...rows.map((row) => row.node)));
  const list = (name) => [...new Set(data.cells.map((cell) => cell[name]))].map((v) => [v, v]);
  const cell = () => data.cells.find((one) => one.method === ui.get("method") && one.how === ui.get("how"));
  const amount = ui.slider("amount", "level", { count: cell().says.length, say: (v) => cell().says[v] });
  ui.on(["how"], () => { amount.querySelector("output").textContent = cell().says[ui.get("level")]; });
  ui.root.append(bar(ui.select("fused by", "method", list("method")), ui.select("spoil by", "how", list("how")), amount),
    h("div", { class: "tdx-panels" }, panels.map((panel) => panel.node)), table, said);
  await ui.drawing(
    ["method", "how", "level"],
    () => Promise.all([data.ir, data.vi, cell().images[ui.get("level")]].map(plane)),
    (images) => {
      images.forEach((image, i) => panels[i].paint(image));
      const { values, says } = cell();
      const level = ui.get("level");
      rows.forEach(({ cells: [before, now, change], svg }, m) => {
        const [first, here] = [values[0][m], values[level][m]];
        before.textContent = show(first, 2);
        now.textContent = show(here, 2);
        const by = here - first;
        change.textContent = first === null || here === null ? "" : `${by < 0 ? "−" : "+"}${Math.abs(by).toFixed(2)}`;
        const curve = values.map((row) => row[m]);
        const known = curve.filter((v) => v !== null);
        const [low, span] = [Math.min(...known), Math.max(...known) - Math.min(...known) || 1];
        const points = curve.map((v, i) => [6 + i * 21, v === null ? null : 24 - (20 * (v - low)) / span]);
        const drawn = points.filter(([, y]) => y !== null);
        svg.replaceChildren(h("path", { class: "tdx-curve tdx-c0", d: drawn.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("") }),
          ...(here === null ? [] : [h("circle", { cx: points[level][0], cy: points[level][1], r: 4 })]));
      });
      said.textContent = `${ui.get("method")}, ${ui.get("how")} (${says[level]}): `
        + data.metrics.map((metric, m) => `${metric} ${show(values[level][m], 2)}`).join(", ");
    });
}

// --- (e) what the task asks of w, from one step of F to the image itself

// Shares of right signs over the stops: a line per F through the mean of its seeds, a dot per seed.
function Shares(stops, seeds) {
  const names = Object.keys(seeds);
  const [w, top, left, bottom] = [440, 14 + 15 * names.length, 78, 74]; // a line of the legend for each F
  const height = top + 140 + bottom;
  const shares = Object.values(seeds).flat(2);
  const [low, high] = [Math.min(0.45, ...shares) - 0.02, Math.max(0.55, ...shares) + 0.02];
  const x = (i) => left + 12 + (i * (w - left - 36)) / Math.max(stops.length - 1, 1);
  const y = (v) => height - bottom - ((v - low) / (high - low)) * (height - bottom - top - 4);
  const svg = h("svg", { class: "tdx-chart", viewBox: `0 0 ${w} ${height}`, role: "img" });
  const mean = (list) => list.reduce((sum, v) => sum + v, 0) / list.length;
  const line = (by) => by.map((list, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(mean(list)).toFixed(1)}`).join("");
  const ticks = Array.from({ length: 21 }, (_, i) => i / 20).filter((t) => t > low && t < high);
  return {
    svg, mean,
    draw(network, stop, words) {
      svg.setAttribute("aria-label", `Share of right signs against how far ahead the loss looks. ${words}`);
      svg.replaceChildren(
        h("path", { class: "tdx-axis", d: `M${left} ${top}V${height - bottom}H${w - 12}` }),
        h("line", { class: "tdx-axis", "stroke-dasharray": "2 3", x1: left, x2: w - 12, y1: y(0.5), y2: y(0.5) }),
        ...ticks.map((t) => h("text", { x: left - 4, y: y(t) + 4, "text-anchor": "end" }, `${Math.round(100 * t)} %`)),
        ...stops.map((name, i) => h("text", {
          transform: `translate(${x(i) + 4} ${height - bottom + 13}) rotate(-35)`, "text-anchor": "end" }, name)),
        h("line", { class: "tdx-mark tdx-sum", x1: x(stop), x2: x(stop), y1: top, y2: height - bottom }),
        ...Object.entries(seeds).flatMap(([name, by], k) => [
          h("g", { class: name === network ? "" : "tdx-other" },
            h("path", { class: `tdx-curve tdx-c${k}`, d: line(by) }),
            by.flatMap((list, i) => list.map((v) =>
              h("circle", { class: `tdx-dot tdx-c${k}`, cx: x(i), cy: y(v), r: 2.5 })))),
          h("line", { class: `tdx-curve tdx-c${k}`, x1: left + 8, x2: left + 32, y1: 9 + 15 * k, y2: 9 + 15 * k }),
          h("text", { x: left + 37, y: 13 + 15 * k }, name)]));
    },
  };
}

async function lookahead(ui) {
  const data = ui.get("data");
  const table = bytes(data.map);
  const panels = [Panel("infrared"), Panel("visible"), Panel("what carries", table), Panel("push on w_a", table)];
  panels[2].node.querySelector(".tdx-scale").remove();
  const chart = Shares(data.stops, data.seeds);
  const said = reading();
  const stop = ui.slider("the loss looks ahead:", "stop", { count: data.stops.length, say: (i) => data.stops[i] });
  ui.root.append(
    bar(scenes(ui), ui.select("F", "network", Object.keys(data.pushes).map((v) => [v, v]))), bar(stop),
    h("div", { class: "tdx-panels" }, panels.map((panel) => panel.node)), said, chart.svg);
  const percent = (v) => (v === null ? "undefined" : `${Math.round(100 * v)} %`);

  await ui.drawing(
    ["scene", "network", "stop"],
    () => {
      const scene = data.scenes[ui.get("scene")];
      const push = data.pushes[ui.get("network")][ui.get("stop")][ui.get("scene")];
      return Promise.all([scene.ir, scene.vi, scene.carries, push].map(plane));
    },
    (images) => {
      const [i, network, at] = ["scene", "network", "stop"].map(ui.get);
      images.forEach((image, k) => panels[k].paint(image, { low: image.low, high: image.high }));
      const shares = data.seeds[network][at];
      const words = `${data.stops[at]}, ${network}: right signs in this scene ${percent(data.right[network][at][i])}, `
        + `over all measured scenes ${percent(chart.mean(shares))} (seeds: ${shares.map(percent).join(", ")})`;
      panels[3].canvas.setAttribute("aria-label", `push on w_a. ${words}`);
      chart.draw(network, at, words);
      said.textContent = words;
    });
}

// --- both lives

const kinds = {
  weights: [weights, "Weights explorer"], landscape: [landscape, "Loss landscape"],
  lens: [lens, "Fusion lens"], playground: [playground, "Metric playground"],
  lookahead: [lookahead, "How far ahead the loss looks"],
};

async function render({ model, el }) {
  const [build, label] = kinds[model.get("kind")];
  const root = h("section", { class: `tdx tdx-${model.get("kind")}`, "aria-label": label, "data-lm-suppress-shortcuts": "true" });
  root.addEventListener("keydown", (event) => event.stopPropagation()); // the notebook and the theme listen, too
  el.append(root);
  let [ui, stop] = [null, null];
  const start = async () => {
    ui?.stop();
    stop?.();
    root.replaceChildren();
    ui = Ui(model, root);
    stop = await build(ui);
  };
  model.on("change:data", start);
  await start();
  return () => {
    ui.stop();
    stop?.();
    model.off("change:data", start);
  };
}

// A model for pages without a kernel: the stored state, and the four methods that are used of anywidget's.
function Twin(state) {
  const listeners = {};
  return {
    get: (name) => state[name],
    set(name, value) {
      if (state[name] === value) return;
      state[name] = value;
      for (const react of [...(listeners[`change:${name}`] ?? [])]) react();
    },
    save_changes() {},
    on: (event, react) => (listeners[event] ??= []).push(react),
    off: (event, react) => {
      listeners[event] = (listeners[event] ?? []).filter((one) => one !== react);
    },
  };
}

// eslint-disable-next-line no-unused-vars -- called by the line that Python adds
function startTwin(key) {
  const el = document.querySelector(`[data-tdx="${key}"]:not([data-started])`);
  el.dataset.started = "true";
  el.querySelector("p").remove();
  render({ model: Twin(JSON.parse(el.querySelector('script[type="application/json"]').textContent)), el });
}

export default { render };
