// Files to planes and back, as `tdfusion fuse` does it: what `fuse.js` gives to F, and what it shows of the result.
self.tdfusionImages = (() => {
  "use strict";

  const MOST_PIXELS = 50e6; // that are read into the page

  const size = ({ w, h }) => `${w}x${h}`;

  // A file as it is stored, 8 bits a channel: {name, w, h, rgba, colour, notes}. Throws a sentence for the reader.
  async function read(file) {
    const head = new Uint8Array(await file.slice(0, 32).arrayBuffer());
    const deep = head[1] === 0x50 && head[2] === 0x4e && head[3] === 0x47 && head[24] === 16; // a PNG's bit depth
    let bitmap;
    try {
      bitmap = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    } catch {
      throw new Error(
        `${file.name} cannot be read as an image by this browser. PNG, JPEG and WebP can; the command reads TIFF and PGM too.`,
      );
    }
    const { width: w, height: h } = bitmap;
    if (w * h > MOST_PIXELS) throw new Error(`${file.name} is ${size({ w, h })}: too many pixels for a page.`);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [w, h];
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    const rgba = context.getImageData(0, 0, w, h).data;
    const image = { name: file.name, w, h, rgba, colour: false, notes: [] };
    let clear = false;
    for (let i = 0; i < rgba.length; i += 4) {
      image.colour ||= rgba[i] !== rgba[i + 1] || rgba[i] !== rgba[i + 2];
      clear ||= rgba[i + 3] !== 255;
    }
    if (deep) {
      if (used(rgba) < 128)
        throw new Error(
          `${file.name} has 16 bits, of which a browser reads the upper 8, and those use less than half of their` +
            " range: tdfusion fuse reads all 16 and stretches them.",
        );
      image.notes.push(`${file.name}: 16 bits, of which a browser reads the upper 8`);
    }
    if (clear) image.notes.push(`${file.name}: is transparent in places, where a browser keeps no exact values`);
    return image;
  }

  // How far the 0.5th and the 99.5th percentile of all channels are apart, in levels.
  function used(rgba) {
    const count = new Uint32Array(256);
    for (let i = 0; i < rgba.length; i++) if (i % 4 < 3) count[rgba[i]]++;
    const all = (rgba.length / 4) * 3;
    const percentile = (share) => {
      let level = 0;
      for (let sum = count[0]; sum < share * all; sum += count[++level]);
      return level;
    };
    return percentile(0.995) - percentile(0.005);
  }

  // Every k-th part of an image: means of k x k pixels, in [0, 1], as three planes and their BT.601 luma.
  function planes({ w: wide, h: high, rgba }, k) {
    const [w, h] = [Math.floor(wide / k), Math.floor(high / k)];
    const rgb = [0, 1, 2].map(() => new Float32Array(w * h));
    for (let y = 0; y < h * k; y++)
      for (let x = 0; x < w * k; x++) {
        const to = Math.floor(y / k) * w + Math.floor(x / k);
        for (let c = 0; c < 3; c++) rgb[c][to] += rgba[4 * (y * wide + x) + c];
      }
    for (const channel of rgb) for (let i = 0; i < w * h; i++) channel[i] /= 255 * k * k;
    const luma = rgb[0].map((r, i) => 0.299 * r + 0.587 * rgb[1][i] + 0.114 * rgb[2][i]);
    return { w, h, rgb, luma };
  }

  // I_f as an image. Cb and Cr of the visible one are kept: a new luma with the old chroma is the difference of the
  // two lumas added to red, green and blue alike.
  function fused(I_f, visible, colour, stretched) {
    let [low, high] = [Infinity, -Infinity];
    for (const v of I_f) [low, high] = [Math.min(low, v), Math.max(high, v)];
    const [from, span] = stretched && high > low ? [low, high - low] : [0, 1];
    const image = new ImageData(visible.w, visible.h);
    for (let i = 0; i < I_f.length; i++) {
      const y = (I_f[i] - from) / span;
      for (let c = 0; c < 3; c++)
        image.data[4 * i + c] = 255 * (colour ? visible.rgb[c][i] + y - visible.luma[i] : y); // rounds and clips
      image.data[4 * i + 3] = 255;
    }
    return { image, low, high };
  }

  return { size, read, planes, fused };
})();
