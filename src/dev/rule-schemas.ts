import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse } from "yaml";
import { z } from "zod";
import { type Definitions, readShape, type Shape } from "../core/rules/schema-shape.ts";
import { METADATA, renderShape } from "../gen/rule-shapes.ts";
import { gatewayApiCrdPaths } from "./control-plane/crds.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const SCHEMAS = join(ROOT, "src", "core", "rules", "schemas");
const OPENAPI = z.object({ components: z.object({ schemas: z.record(z.string(), z.unknown()) }) });
const CRD = z.object({
  spec: z.object({
    names: z.object({ kind: z.string() }),
    versions: z.array(z.object({ storage: z.boolean(), schema: z.object({ openAPIV3Schema: z.unknown() }) })),
  }),
});
const BY = "src/dev/rule-schemas.ts from the schemas of Kubernetes and the Gateway API";

export interface SchemaFile {
  readonly path: string;
  readonly text: string;
}

/**
 * The shapes of the kinds that rules are about most, as source files: the Service of the pinned Kubernetes and the
 * routes of the pinned Gateway API, both read from the Go modules that carry their schemas.
 */
export async function renderRuleSchemas(): Promise<readonly SchemaFile[]> {
  const definitions = await coreDefinitions();
  const metadata = readShape(definitions["io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"], definitions);
  const service = withMetadata(readShape(definitions["io.k8s.api.core.v1.Service"], definitions));
  const routes = await Promise.all((await gatewayApiCrdPaths()).map(crdShape));
  const kinds = [{ kind: "Service", shape: service }, ...routes];
  return [
    { path: join(SCHEMAS, "object-meta.ts"), text: renderShape({ name: METADATA, shape: metadata, by: BY }) },
    ...kinds.map(({ kind, shape }) => ({
      path: join(SCHEMAS, `${kind.toLowerCase()}.ts`),
      text: renderShape({ name: kind.replace(/(?=Route)/, "_").toUpperCase(), shape, by: BY }),
    })),
  ];
}

/** The OpenAPI definitions of the core API, in the module of Kubernetes that the control plane is built from. */
async function coreDefinitions(): Promise<Definitions> {
  const { stdout } = await promisify(execFile)("go", ["mod", "download", "-json", "k8s.io/kubernetes"], {
    cwd: join(import.meta.dirname, "control-plane", "go"),
    env: { ...process.env, GOWORK: "off", GOFLAGS: "-mod=readonly" },
  });
  const { Dir: directory } = z.object({ Dir: z.string() }).parse(JSON.parse(stdout));
  const path = join(directory, "api", "openapi-spec", "v3", "api__v1_openapi.json");
  return OPENAPI.parse(JSON.parse(await readFile(path, "utf8"))).components.schemas;
}

async function crdShape(path: string): Promise<{ readonly kind: string; readonly shape: Shape }> {
  const { spec } = CRD.parse(parse(await readFile(path, "utf8")));
  const version = spec.versions.find(({ storage }) => storage);
  if (version === undefined) throw new Error(`Cannot read ${path}: found no version that is stored`);
  return { kind: spec.names.kind, shape: withMetadata(readShape(version.schema.openAPIV3Schema)) };
}

/** The shape with a mark where the metadata of every object stands. */
function withMetadata(shape: Shape): Shape {
  if (typeof shape === "string" || Array.isArray(shape)) throw new Error("Found a kind that is no object");
  return { ...(shape as Readonly<Record<string, Shape>>), metadata: METADATA };
}

/** Writes the files: `node src/dev/rule-schemas.ts`, after a change of a pinned version. */
async function main(): Promise<void> {
  await mkdir(SCHEMAS, { recursive: true });
  for (const { path, text } of await renderRuleSchemas()) await writeFile(path, text);
}

if (import.meta.main) await main();
