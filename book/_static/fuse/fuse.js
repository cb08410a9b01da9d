// F in the reader's browser, on two files of theirs: `tdfusion fuse` for 8-bit images, step by step the same.
// Nothing is sent anywhere. The heavy parts (the runtime, the weights) are scripts that are loaded when they are
// first needed, since a page that was opened from disk may load a script but may not fetch a file.
(() => {
  "use strict";

  const PARTS = { runtime: "../onnxruntime/runtime.js", model: "model.js", example: "example.js" };
  const HERE = document.currentScript.src;
  const MOST_FUSED = 700e3; // F needs 3.5 kB a pixel, and WebAssembly of 32 bits has 4 GB, of which some is lost
  const PATIENCE = 30; // seconds: a larger pair is made smaller unless the reader asks for all of it
  const TRIED = 128; // side of the image on which the speed of this computer is measured
  const FACTORS = [1, 2, 3, 4, 6, 8];

  const { size, read, planes, fused } = self.tdfusionImages;
  const stem = (name) => name.replace(/\.[^.]*$/, "");
  const duration = (s) => (s < 90 ? `${s < 10 ? Math.max(s, 0.1).toFixed(1) : Math.round(s)} s` : `${Math.round(s / 60)} min`);

  // --- parts and the worker

  const unzipped = (text) => {
    const packed = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
    return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  };

  // The files of a part, loaded once.
  async function part(name) {
    const parts = (self.tdfusionParts ??= {});
    if (!parts[name]) {
      await new Promise((done, fail) => {
        const script = document.createElement("script");
        script.src = new URL(PARTS[name], HERE);
        script.onload = done;
        script.onerror = () => fail(new Error(`${PARTS[name]} is not where the book was built: build it again`));
        document.head.append(script);
      });
    }
    const files = Object.entries(parts[name].files);
    return Object.fromEntries(await Promise.all(files.map(async ([key, text]) => [key, await unzipped(text)])));
  }

  // What runs in the worker, after the runtime's own script: this text is all that it gets of this file.
  function work() {
    let network;
    const answers = {
      async start({ wasm, model }) {
        const address = URL.createObjectURL(new Blob([wasm], { type: "application/wasm" }));
        ort.env.wasm.numThreads = 1;
        ort.env.wasm.wasmPaths = { "ort-wasm-simd.wasm": address };
        // no arena: it would keep, and double, the largest memory that was ever asked for
        const options = { enableCpuMemArena: false, enableMemPattern: false };
        network = await ort.InferenceSession.create(new Uint8Array(model), options);
      },
      async fuse({ I_a, I_b, w, h }) {
        const image = (values) => new ort.Tensor("float32", values, [1, 1, h, w]);
        return (await network.run({ I_a: image(I_a), I_b: image(I_b) })).I_f.data;
      },
    };
    self.onmessage = async ({ data }) => {
      try {
        self.postMessage({ value: await answers[data.ask](data) });
      } catch (error) {
        self.postMessage({ error: String(error?.message ?? error) });
      }
    };
  }

  // F in a worker, so that the page stays alive; one call at a time.
  class Runner {
    async start() {
      const [{ script, wasm }, { "F.onnx": model }] = await Promise.all([part("runtime"), part("model")]);
      const text = new Blob([script, `\n;(${work})();`], { type: "text/javascript" });
      this.worker = new Worker(URL.createObjectURL(text));
      await this.ask("start", { wasm, model });
      const flat = { I_a: new Float32Array(TRIED * TRIED), I_b: new Float32Array(TRIED * TRIED), w: TRIED, h: TRIED };
      await this.fuse(flat); // the first call is slow: the browser still compiles
      await this.fuse(flat);
      return this;
    }
    ask(what, data) {
      return new Promise((done, fail) => {
        this.fail = fail;
        this.worker.onmessage = ({ data: { value, error } }) => (error ? fail(new Error(error)) : done(value));
        this.worker.onerror = (event) => fail(new Error(event.message || "the worker could not be started"));
        this.worker.postMessage({ ask: what, ...data });
      });
    }
    async fuse(pair) {
      const begin = performance.now();
      const I_f = await this.ask("fuse", pair);
      this.seconds = (performance.now() - begin) / 1000;
      this.rate = this.seconds / I_f.length; // seconds a pixel
      return I_f;
    }
    stop() {
      this.worker.terminate();
      this.fail(new Error("stopped"));
    }
  }

  // --- the page

  function begin(root) {
    const find = (selector) => root.querySelector(selector);
    const [chooser, stretch, go, stop, example, save] = ["size", "stretch", "go", "stop", "example", "save"].map((name) =>
      find(`[name=${name}]`),
    );
    const [bar, said] = [find("progress"), find("output")];
    const inputs = [...root.querySelectorAll("input[type=file]")];
    const pair = { ir: null, vi: null };
    const asked = {}; // the file that was last given for each of them
    const faults = {}; // what is wrong with it
    let runner = null; // a promise of a Runner, once there is something to fuse
    let result = null; // {I_f, visible, colour, name, seconds} of the last run

    const say = (state, text) => {
      root.dataset.state = state;
      said.textContent = text;
    };
    const canvas = (role) => find(`[data-role=${role}] canvas`);
    const show = (role, image, text) => {
      const to = canvas(role);
      [to.width, to.height, to.hidden] = [image.width, image.height, false];
      to.getContext("2d").putImageData(image, 0, 0);
      to.setAttribute("aria-label", text);
    };
    const forget = () => {
      result = null;
      canvas("fused").hidden = true;
      save.disabled = stretch.disabled = true;
    };

    const started = () =>
      (runner ??= new Runner().start().catch((error) => {
        runner = null;
        throw error;
      }));

    // The sizes at which this pair may be fused, with the time that each takes here.
    function offer({ w, h }, rate) {
      const before = chooser.value;
      const possible = FACTORS.filter((k) => k === 1 || Math.min(w, h) / k >= 32);
      const options = possible.map((k) => {
        const small = { w: Math.floor(w / k), h: Math.floor(h / k) };
        const fits = small.w * small.h <= MOST_FUSED;
        const seconds = rate * small.w * small.h;
        const time = fits ? `about ${duration(seconds)}` : "too large for a page";
        const option = new Option(`${size(small)}${k > 1 ? ` (1/${k})` : ""}, ${time}`, k);
        option.disabled = !fits;
        return { option, good: fits && seconds <= PATIENCE };
      });
      chooser.replaceChildren(...options.map(({ option }) => option));
      const best = options.find(({ good }) => good) ?? options.at(-1);
      const kept = options.find(({ option }) => option.value === before && !option.disabled);
      chooser.value = (kept ?? best).option.value;
      chooser.disabled = false;
      go.disabled = options.every(({ option }) => option.disabled);
    }

    async function take(role, file) {
      if (root.dataset.state === "running") return;
      forget();
      asked[role] = file;
      pair[role] = null;
      canvas(role).hidden = go.disabled = chooser.disabled = true;
      find(`[data-role=${role}] .tdx-file`).textContent = "";
      try {
        const image = await read(file);
        if (asked[role] !== file) return; // another was given meanwhile
        pair[role] = image;
        faults[role] = null;
        find(`[data-role=${role}] .tdx-file`).textContent = `${image.name}, ${size(image)}`;
        show(role, new ImageData(image.rgba, image.w, image.h), `${image.name}, ${size(image)} pixels`);
      } catch (error) {
        if (asked[role] !== file) return;
        faults[role] = error.message;
      }
      await ready().catch((error) => say("error", error.message));
    }

    async function ready() {
      const { ir, vi } = pair;
      const fault = faults.ir ?? faults.vi;
      if (fault) return say("error", fault);
      if (!ir || !vi) return say("waiting", `Now the ${ir ? "visible" : "infrared"} image.`);
      if (ir.w !== vi.w || ir.h !== vi.h)
        return say(
          "error",
          `${ir.name} is ${size(ir)} but ${vi.name} is ${size(vi)}; a pair must be registered and of one size.` +
            " If both show the same view, tdfusion fuse --match ir makes them so.",
        );
      say("loading", "Loading the program and the weights from this book (4 MB), and trying how fast this computer is.");
      const { rate } = await started();
      if (pair.ir !== ir || pair.vi !== vi) return;
      offer(ir, rate);
      const notes = [...ir.notes, ...vi.notes];
      if (ir.colour) notes.push(`${ir.name}: in colour, of which the luma is taken`);
      say("ready", ["Ready to fuse.", ...notes.map((note) => `${note}.`)].join(" "));
    }

    async function run() {
      const { ir, vi } = pair;
      const k = +chooser.value;
      const [thermal, visible] = [planes(ir, k), planes(vi, k)];
      const { w, h } = visible;
      const on = await started();
      const expected = on.rate * w * h;
      forget();
      const busy = (yes) => {
        for (const control of [go, example, chooser, ...inputs]) control.disabled = yes;
        stop.disabled = !yes;
      };
      busy(true);
      say("running", `Fusing ${size(visible)} pixels, about ${duration(expected)}.`);
      const begun = performance.now();
      const tick = setInterval(() => {
        bar.value = Math.min((performance.now() - begun) / 1000 / expected, 0.97); // F does not say how far it is
      }, 100);
      try {
        const I_f = await on.fuse({ I_a: thermal.luma, I_b: visible.luma, w, h });
        result = { I_f, visible, colour: vi.colour, name: `${stem(ir.name)}-fused.png`, seconds: on.seconds };
        bar.value = 1;
        draw();
      } catch (error) {
        on.worker.terminate(); // what it was at is lost, and so may be its memory
        runner = null;
        bar.value = 0;
        if (error.message === "stopped") say("ready", "Stopped.");
        else {
          const why = /^\d+$/.test(error.message) ? "memory ran out" : error.message; // a bare number is a C++ exception
          say("error", `${size(visible)} pixels could not be fused (${why}); choose a smaller size.`);
        }
      } finally {
        clearInterval(tick);
        busy(false);
      }
    }

    function draw() {
      const { I_f, visible, colour, seconds } = result;
      const { image, low, high } = fused(I_f, visible, colour, stretch.checked);
      show("fused", image, `the fused image, ${size(visible)} pixels`);
      save.disabled = stretch.disabled = false;
      const ends = `${low.toFixed(3)} to ${high.toFixed(3)}`;
      say(
        "done",
        `Fused ${size(visible)} pixels in ${duration(seconds)}. F gave values from ${ends}, ` +
          (stretch.checked ? "stretched to black and white." : "shown as they are."),
      );
    }

    for (const role of ["ir", "vi"]) {
      const panel = find(`[data-role=${role}]`);
      const input = panel.querySelector("input");
      input.onchange = () => input.files.length && take(role, input.files[0]);
      panel.ondragover = () => panel.toggleAttribute("data-over", true);
      panel.ondragleave = () => panel.toggleAttribute("data-over", false);
      panel.ondrop = (event) => {
        panel.toggleAttribute("data-over", false);
        if (event.dataTransfer.files.length === 1) take(role, event.dataTransfer.files[0]);
        else say("error", "Drop one image file on each of the two fields.");
      };
    }
    root.addEventListener("dragover", (event) => event.preventDefault());
    root.addEventListener("drop", (event) => event.preventDefault()); // or the browser would leave the page
    go.onclick = run;
    stop.onclick = async () => (await runner).stop();
    stretch.onchange = draw;
    example.onclick = async () => {
      try {
        const { "thermal.png": ir, "photo.jpg": vi } = await part("example");
        await take("ir", new File([ir], "thermal.png"));
        await take("vi", new File([vi], "photo.jpg"));
        if (!go.disabled) await run();
      } catch (error) {
        say("error", error.message);
      }
    };
    save.onclick = () =>
      canvas("fused").toBlob((png) => {
        const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(png), download: result.name });
        link.click();
        URL.revokeObjectURL(link.href);
      });
    example.disabled = false;
    for (const input of inputs) input.disabled = false;
    say("waiting", "Choose two image files of one size, or drop them on the fields.");
  }

  document.querySelectorAll(".tdx-fuse").forEach(begin);
})();
