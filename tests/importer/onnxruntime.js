// node onnxruntime.js MODEL INPUT IMAGES OUTPUT LEVEL: the outputs that ONNX Runtime gives on a CPU, float32, one row an image.
// INPUT has float32 images in the order that the model takes. LEVEL is the graph optimization: disabled, basic, extended or all; with
// "all integers" tensors of type int8 stay integers, which ONNX Runtime else computes in float32 in part. NODE_PATH leads to
// onnxruntime-node.
const fs = require('fs');
const ort = require('onnxruntime-node');

async function session(model, level) {
  const [graphOptimizationLevel, integers] = level.split(' ');
  // Exact sums of products of uint8 on processors without VNNI, whose 16-bit sums may else saturate. Those of int8 are exact, and
  // have no such kernel.
  const exact = {x64quantprecision: '1'}, signed = integers ? {qdqisint8allowed: '1'} : {};
  const create = (entries) => ort.InferenceSession.create(
    model, {graphOptimizationLevel, intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 4, extra: {session: entries}});
  return create({...exact, ...signed}).catch(() => create(signed));
}

async function main() {
  const [model, input, images, output, level] = process.argv.slice(2);
  const run = await session(model, level);
  const bytes = fs.readFileSync(input);
  const values = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  const size = values.length / images;
  const [batch, ...shape] = run.inputMetadata[0].shape;
  const step = typeof batch === 'number' && batch > 0 ? batch : 50;
  const rows = [];
  for (let i = 0; i < images; i += step) {
    const count = Math.min(step, images - i);
    const tensor = new ort.Tensor('float32', values.slice(i * size, (i + count) * size), [count, ...shape]);
    const result = (await run.run({[run.inputNames[0]]: tensor}))[run.outputNames[0]];
    rows.push(Buffer.from(Float32Array.from(result.data).buffer));
  }
  fs.writeFileSync(output, Buffer.concat(rows));
}

main().catch((error) => {
  console.error(String(error.message || error).split('\n')[0]);
  process.exit(1);
});
