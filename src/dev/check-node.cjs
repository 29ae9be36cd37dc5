// The optional dependency that brings Node 24 fails silently where there is none for the platform: say so here.
if (!/^v(2[4-9]|[3-9]\d)\./.test(process.version)) {
  console.error(
    `Found Node ${process.version}, wanted 24 or newer. npm ci brings it along on Linux (x64, arm64); ` +
      "elsewhere install Node 24 and run the command again.",
  );
  process.exit(1);
}
