// One upload by tus-js-client, as its users write it: node upload.js ENDPOINT TOKEN FILE CHUNK_BYTES
const fs = require("node:fs");
const path = require("node:path");
const tus = require("tus-js-client");

const [endpoint, token, file, chunkBytes] = process.argv.slice(2);
const upload = new tus.Upload(fs.createReadStream(file), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  chunkSize: Number(chunkBytes),
  uploadSize: fs.statSync(file).size,
  retryDelays: [0, 1000, 3000, 5000],
  metadata: { filename: path.basename(file), extract: "false" },
  onShouldRetry(error, attempt) {
    const answer = error.originalResponse;
    console.log(JSON.stringify({ retry: attempt, status: answer ? answer.getStatus() : 0 }));
    return true;
  },
  onError(error) {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess() {
    console.log(JSON.stringify({ url: upload.url }));
  },
});
upload.start();
