import { once } from "node:events";
import { parseArgs } from "node:util";
import { resolveAllBinaries } from "./binaries.ts";
import { startControlPlane } from "./control-plane.ts";

/** Runs a control plane until it is interrupted: `node src/dev/control-plane/main.ts [--build-only]`. */
async function main(): Promise<void> {
  const { values } = parseArgs({ options: { "build-only": { type: "boolean", default: false } } });
  if (values["build-only"]) {
    for (const [name, path] of Object.entries(await resolveAllBinaries())) console.log(`${name}: ${path}`);
    return;
  }
  const startMs = performance.now();
  const controlPlane = await startControlPlane();
  console.log(`Ready after ${((performance.now() - startMs) / 1000).toFixed(1)} s at ${controlPlane.url}`);
  console.log(`Kubeconfig: ${controlPlane.kubeconfigPath}`);
  console.log(`export KUBECONFIG=${controlPlane.kubeconfigPath}`);
  const idle = setInterval(() => {}, 60_000);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  clearInterval(idle);
  await controlPlane.stop();
}

await main();
