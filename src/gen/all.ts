import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { renderChartDocs, renderValues } from "./chart-values.ts";
import { CUSTOM_KINDS, renderChartCrd, renderCrds } from "./crd.ts";
import { renderErrors } from "./errors.ts";
import { renderMeshes } from "./meshes.ts";
import { renderChartRbac } from "./rbac.ts";
import { renderResiliencePolicyShape } from "./rule-shapes.ts";
import { renderChartWebhooks, renderWebhooks } from "./webhooks.ts";

interface GeneratedFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly render: () => string;
}

const ROOT = join(import.meta.dirname, "..", "..");

/** Every generated file. `npm run gen` writes them, a test compares them. */
export const GENERATED: readonly GeneratedFile[] = [
  { path: "webhook-config/crds.yaml", render: renderCrds },
  { path: "webhook-config/webhooks.yaml", render: renderWebhooks },
  ...CUSTOM_KINDS.map((custom) => ({
    path: `charts/fairlead/templates/crds/${custom.plural}.yaml`,
    render: () => renderChartCrd(custom),
  })),
  { path: "charts/fairlead/templates/rbac.yaml", render: renderChartRbac },
  { path: "charts/fairlead/templates/webhooks.yaml", render: renderChartWebhooks },
  { path: "charts/fairlead/values.yaml", render: renderValues },
  { path: "docs/chart.md", render: renderChartDocs },
  { path: "docs/errors.md", render: renderErrors },
  { path: "docs/meshes.md", render: renderMeshes },
  { path: "src/core/rules/schemas/resiliencepolicy.ts", render: renderResiliencePolicyShape },
];

/** Paths of the files that are not as they would be generated. */
export function staleFiles(): readonly string[] {
  return GENERATED.filter((file) => read(file.path) !== file.render()).map((file) => file.path);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(join(ROOT, path), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function write(file: GeneratedFile): void {
  const path = join(ROOT, file.path);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, file.render());
}

function main(args: readonly string[]): number {
  const stale = staleFiles();
  if (!args.includes("--check")) {
    for (const file of GENERATED.filter((file) => stale.includes(file.path))) write(file);
    for (const path of stale) console.log(`wrote ${path}`);
    return 0;
  }
  for (const path of stale) console.error(`stale: ${path}`);
  if (stale.length > 0) console.error("Run npm run gen and commit the result");
  return stale.length > 0 ? 1 : 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
