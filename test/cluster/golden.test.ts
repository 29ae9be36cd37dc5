import { existsSync, globSync, readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readInput } from "../../src/cli/input.ts";
import { type Review, reviewObjects } from "../../src/cli/review.ts";
import { CLUSTER_DOMAIN, excludedNamespaces, parseMesh, parseMeshVersion, parseMode } from "../../src/config.ts";
import { annotationsOf, groupOf, type KubernetesObject, labelsOf } from "../../src/core/kubernetes.ts";
import { companionKindOf, FAIRLEAD_GROUP, MODE_LABEL, targetKindOf } from "../../src/core/names.ts";
import type { WorldDefaults } from "../../src/core/world.ts";
import { gatewayApiCrdPaths, linkerdCrdPaths } from "../../src/dev/control-plane/crds.ts";
import { istioCrdPath } from "../../src/dev/mesh/istio-module.ts";
import { resourcePath } from "../../src/k8s/client.ts";
import { Session, WARNING } from "./session.ts";
import { FAIRLEAD_CRDS, ROOT } from "./support.ts";

/** Every golden input of `review`, applied with kubectl: verdict, stored object, warnings and denial must be the same. */
const GOLDEN = join(ROOT, "test", "golden", "review");

interface Flags {
  readonly mode?: string;
  readonly mesh?: string;
  readonly meshVersion?: string;
  /** Why a real API server cannot see this input as it is. */
  readonly offlineOnly?: string;
}

interface Case {
  readonly name: string;
  readonly flags: Flags;
  readonly objects: readonly KubernetesObject[];
}

function readCase(path: string, index: number): Case {
  const folder = join(GOLDEN, dirname(path));
  const flagsFile = join(folder, "flags.json");
  const flags = existsSync(flagsFile) ? (JSON.parse(readFileSync(flagsFile, "utf8")) as Flags) : {};
  const input = readInput({ filenames: ["input.yaml"], recursive: false, baseDirectory: folder });
  const objects = input.map(({ object }) => withPrefix(object, `g${index}-`));
  return { name: basename(folder), flags, objects };
}

/** Gives each case namespaces of its own: many cases call theirs `iam`, and they run at the same time. */
function withPrefix(object: KubernetesObject, prefix: string): KubernetesObject {
  const renamed = JSON.parse(
    JSON.stringify(object, (key, value: unknown) =>
      key === "namespace" && typeof value === "string" && !SHARED.has(value)
        ? prefix + value
        : key === "host" && typeof value === "string"
          ? value.replace(/^([^.]+)\.(?=[^.]+\.svc\.)/, `$1.${prefix}`)
          : value,
    ),
  ) as KubernetesObject;
  const name = object.metadata?.name ?? "";
  if (object.kind === "Namespace" && !SHARED.has(name))
    return { ...renamed, metadata: { ...renamed.metadata, name: prefix + name } };
  if (object.kind !== "ServiceProfile") return renamed;
  return { ...renamed, metadata: { ...renamed.metadata, name: name.replace(".", `.${prefix}`) } };
}
const IN_LINKERD = { annotations: { "linkerd.io/inject": "enabled" } };
const SHARED: ReadonlySet<string> = new Set(["default", "kube-system"]);

/** Cases in which a cluster gives another answer by its nature, beside those that say so in flags.json. */
const INHERENT: Readonly<Record<string, string>> = {
  "namespace-excluded": "the API server does not ask about kube-system; refusals.test.ts shows it",
};
/** Reasons in flags.json that speak of kubectl apply and do not hold for kubectl create. */
const HOLDS_FOR_CREATE = /^the API server/;

function runsHere({ name, flags: { offlineOnly } }: Case): boolean {
  return INHERENT[name] === undefined && !(offlineOnly !== undefined && HOLDS_FOR_CREATE.test(offlineOnly));
}

const CASES = globSync("*/input.yaml", { cwd: GOLDEN }).sort().map(readCase);
/** By the flags with which Fairlead has to be started. */
const GROUPS = Map.groupBy(CASES.filter(runsHere), ({ flags: { mesh, meshVersion } }) =>
  JSON.stringify({ mesh, meshVersion }),
);

let session: Session;
beforeAll(async () => {
  // The experimental channel has every field that golden inputs write.
  const routes = (await gatewayApiCrdPaths()).map((path) => path.replace("/standard/", "/experimental/"));
  const crdPaths = [...routes, ...(await linkerdCrdPaths()), await istioCrdPath(), FAIRLEAD_CRDS];
  // Without the garbage collector, which would collect a Service whose owner is only written in the manifest.
  session = await Session.start({ controlPlane: { controllerManager: false, crdPaths } });
});
afterAll(() => session?.stop());

/** Each restart looks at all that earlier groups have left, so the largest group comes last. */
const BY_SIZE = [...GROUPS].sort(([, a], [, b]) => a.length - b.length);

describe.each(BY_SIZE)("Fairlead started with %s", (key, cases) => {
  const flags = JSON.parse(key) as Flags;
  const config = {
    mesh: flags.mesh === undefined ? undefined : parseMesh(flags.mesh),
    meshVersion: parseMeshVersion(flags.meshVersion),
  };
  beforeAll(() => session.restart(config));

  test.concurrent.each(cases)("$name", async ({ flags: { mode }, objects }) => {
    const defaults: WorldDefaults = {
      ...config,
      unknownNamespaceMode: parseMode(mode ?? "enforce"),
      clusterDomain: CLUSTER_DOMAIN,
      excludedNamespaces: excludedNamespaces("fairlead"),
    };
    const namespaces = new Set(objects.filter((object) => object.kind !== "Namespace").map(namespaceOf));
    const settled = async (): Promise<void> => {
      for (const namespace of namespaces) await session.settled(namespace);
    };
    const targets = objects.filter(isTarget);
    // The policies find their targets as they are written, which is how review has them.
    const existing = await optIn({ objects, namespaces, mode: defaults.unknownNamespaceMode });
    await settled();
    for (const policy of objects.filter(isPolicy).sort(byName)) {
      // The API server dates the policies by the order in which they come, review decides by name where there is no date.
      const soFar = objects.filter((object) => !isPolicy(object) || byName(object, policy) <= 0);
      await compare(policy, soFar, defaults);
      await settled();
    }
    for (const target of existing) await session.client.delete(pathOf(target, target.metadata?.name));
    await settled();
    for (const target of targets.sort(servicesFirst)) {
      await compare(target, objects, defaults);
      await settled();
    }
  });
});

function isPolicy(object: KubernetesObject): boolean {
  return object.kind === "ResiliencePolicy" && groupOf(object.apiVersion ?? "") === FAIRLEAD_GROUP;
}

function isTarget(object: KubernetesObject): boolean {
  return targetKindOf(groupOf(object.apiVersion ?? ""), object.kind ?? "") !== undefined;
}

function isOfHosts(object: KubernetesObject): boolean {
  return companionKindOf(groupOf(object.apiVersion ?? ""), object.kind ?? "") !== undefined;
}

function namespaceOf(object: KubernetesObject): string {
  return object.metadata?.namespace ?? "default";
}

function byName(a: KubernetesObject, b: KubernetesObject): number {
  return (a.metadata?.name ?? "") < (b.metadata?.name ?? "") ? -1 : a === b ? 0 : 1;
}

function servicesFirst(a: KubernetesObject, b: KubernetesObject): number {
  return Number(a.kind !== "Service") - Number(b.kind !== "Service");
}

function pathOf(object: KubernetesObject, name?: string): string {
  const [version = "", group = ""] = (object.apiVersion ?? "").split("/").reverse();
  const resource = companionKindOf(group, object.kind ?? "")?.resource ?? `${object.kind?.toLowerCase()}s`;
  const namespaced = object.kind === "Namespace" ? {} : { namespace: namespaceOf(object) };
  return resourcePath({ group, version, resource, ...namespaced, ...(name !== undefined && { name }) });
}

async function write(object: KubernetesObject): Promise<KubernetesObject> {
  const { body } = await session.client.request({ method: "POST", path: pathOf(object), body: object });
  return { ...object, ...(body as KubernetesObject) };
}

/** Makes the namespaces, then what the policies are for, which it returns, and only then opts the namespaces in. */
async function optIn(golden: {
  readonly objects: readonly KubernetesObject[];
  readonly namespaces: ReadonlySet<string>;
  readonly mode: string | undefined;
}): Promise<readonly KubernetesObject[]> {
  const { objects, namespaces, mode } = golden;
  const modes = new Map<string, string | undefined>();
  const writtenAs = (name: string) => objects.find((it) => it.kind === "Namespace" && it.metadata?.name === name);
  for (const name of namespaces) {
    const written = writtenAs(name);
    const { [MODE_LABEL]: labelled, ...labels } = labelsOf(written ?? {});
    modes.set(name, written === undefined ? mode : labelled);
    if (SHARED.has(name)) continue;
    const metadata = { ...written?.metadata, name, labels };
    await write({ apiVersion: "v1", kind: "Namespace", metadata });
  }
  for (const object of objects) if (object.kind === "ServiceProfile" || isOfHosts(object)) await write(object);
  const targets: KubernetesObject[] = [];
  for (const object of objects) if (isTarget(object)) targets.push(await write(object));
  for (const [name, label] of modes) {
    const path = pathOf({ apiVersion: "v1", kind: "Namespace" }, name);
    await session.client.patch({
      path,
      type: "merge",
      // What review assumes of a namespace that is not in the input, the cluster has to be told.
      body: { metadata: { labels: { [MODE_LABEL]: label ?? null }, ...(writtenAs(name) === undefined && IN_LINKERD) } },
    });
  }
  return targets;
}

/** Creates one object with kubectl and compares all that comes of it with what review says of it among the others. */
async function compare(
  object: KubernetesObject,
  others: readonly KubernetesObject[],
  defaults: WorldDefaults,
): Promise<void> {
  const review = reviewOf(object, reviewObjects(others, defaults, Date.now()));
  const { code, stdout, stderr } = await session.run("create -f - -o json", object);
  const warnings = [...stderr.matchAll(WARNING)].map((match) => match[1]);
  const rest = stderr.replaceAll(WARNING, "");
  if (review.result.findings.some((item) => item.code === "FL101")) {
    // The API server checks the schema before it asks any webhook, and says so in its own words.
    expect([code, rest]).toEqual([
      1,
      expect.stringMatching(/^(The ResiliencePolicy .* is invalid|Error from server \(BadRequest\))/),
    ]);
    return;
  }
  expect(warnings).toEqual(review.result.warnings);
  expect(rest).toBe(review.result.allowed ? "" : denial(object, review.message));
  if (!review.result.allowed) return;
  const created = JSON.parse(stdout) as KubernetesObject;
  expect(annotationsOf(created)).toEqual(annotationsOf(review.stored ?? {}));
  expect(labelsOf(created)).toEqual(labelsOf(review.stored ?? {}));
}

function reviewOf(object: KubernetesObject, reviews: readonly Review[]): Review {
  const { name, generateName = "" } = object.metadata ?? {};
  const found = reviews.find(
    ({ result }) =>
      result.apiVersion === object.apiVersion &&
      result.kind === object.kind &&
      result.namespace === namespaceOf(object) &&
      result.name === (name ?? generateName),
  );
  if (found === undefined) throw new Error(`review says nothing of ${object.kind} ${name}`);
  return found;
}

function denial(object: KubernetesObject, message: string): string {
  const webhook = isPolicy(object) ? "policies" : object.kind === "Service" ? "services" : "routes";
  return `Error from server (Forbidden): error when creating "STDIN": admission webhook "${webhook}.fairlead.dev" denied the request: ${message}\n`;
}
