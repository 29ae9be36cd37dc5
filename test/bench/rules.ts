import { request } from "node:https";
import { text } from "node:stream/consumers";
import type { KubernetesObject } from "../../src/core/kubernetes.ts";
import { waitFor } from "../../src/dev/control-plane/wait.ts";
import { type KubernetesClient, resourcePath } from "../../src/k8s/client.ts";
import type { CapturedReview } from "./capture.ts";
import type { Child } from "./child.ts";
import { type Comparison, measureOneByOne, type Target } from "./handler.ts";
import { type HostileResult, measureHostile } from "./hostile-rules.ts";
import type { Plan } from "./limits.ts";
import { measureOffline, type OfflineResult, withPadding } from "./rules-offline.ts";
import type { Server } from "./servers.ts";
import { manyRules, ruleObject } from "./typical-rules.ts";
import { inParallel } from "./world.ts";

/** So many rules in turn. */
export const RULE_COUNTS = [0, 20, 100] as const;
/** With how many rules large reviews are measured. */
const LARGE_WITH = 20;
const SIZES = { "10 KB": 10_000, "1 MB": 1_000_000 } as const;

export interface RulesResult {
  readonly reviews: readonly RulesRow[];
  readonly offline: OfflineResult;
  readonly hostile: HostileResult;
}

export interface RulesRow extends Comparison {
  readonly rules: number;
  /** `3.5 KB`, or what the object was padded to. */
  readonly size: string;
}

export interface RulesStage {
  readonly client: KubernetesClient;
  readonly load: Child;
  readonly servers: { readonly bare: Server; readonly fairlead: Server; readonly secret: string };
  /** As the API server sent them in this run. */
  readonly reviews: readonly CapturedReview[];
}

const RULES_REF = { group: "fairlead.dev", version: "v1alpha1", resource: "admissionrules" } as const;

/** The door of rules beside the bare server's validating one, one review at a time. */
export async function measureRules(stage: RulesStage, plan: Plan): Promise<RulesResult> {
  const small = stage.reviews.filter(({ door, operation }) => door === "validate" && operation === "CREATE");
  const rows: RulesRow[] = [];
  for (const count of RULE_COUNTS) {
    if (count > 0) await setRules(stage, count);
    rows.push(await measure(stage, plan, { count, size: sizeOf(small), reviews: small }));
    if (count !== LARGE_WITH) continue;
    for (const [size, bytes] of Object.entries(SIZES)) {
      rows.push(await measure(stage, plan, { count, size, reviews: small.map((review) => padded(review, bytes)) }));
    }
  }
  return { reviews: rows, offline: measureOffline(plan), hostile: measureHostile() };
}

interface Row {
  readonly count: number;
  readonly size: string;
  readonly reviews: readonly CapturedReview[];
}

async function measure({ servers, load }: RulesStage, plan: Plan, { count, size, reviews }: Row): Promise<RulesRow> {
  const target = (server: Server, path: string): Target => ({
    server,
    requests: reviews.map(({ body }) => ({ path: `${path}?timeout=3s`, body })),
  });
  const targets = {
    bare: target(servers.bare, "/validate"),
    fairlead: target(servers.fairlead, `/rules-fail/${servers.secret}`),
  };
  return { rules: count, size, ...(await measureOneByOne(targets, load, plan)) };
}

function sizeOf(reviews: readonly CapturedReview[]): string {
  const bytes = reviews.reduce((sum, { body }) => sum + body.length, 0) / reviews.length;
  return `${(bytes / 1_000).toFixed(1)} KB`;
}

function padded(review: CapturedReview, bytes: number): CapturedReview {
  const body = JSON.parse(review.body) as { request: { object: KubernetesObject } };
  body.request.object = withPadding(body.request.object, bytes);
  return { ...review, body: JSON.stringify(body) };
}

/** Makes these the rules, and waits until Fairlead applies them: the last one made is a warning on a review of its own. */
async function setRules({ client, servers, reviews }: RulesStage, count: number): Promise<void> {
  const gone: string[] = [];
  await client.list(resourcePath(RULES_REF), {
    onPage: (items) => gone.push(...items.map(({ metadata }) => metadata?.name ?? "")),
  });
  await inParallel(gone, (name) => client.delete(resourcePath({ ...RULES_REF, name })));
  await inParallel(manyRules(count), (object) => client.create(resourcePath(RULES_REF), object));
  const canary = `canary-${count}`;
  await client.create(resourcePath(RULES_REF), canaryRule(canary));
  const [review] = reviews.filter(({ door }) => door === "validate");
  if (review === undefined) throw new Error("Cannot measure rules: no review of the validating door was captured");
  const body = review.body.replaceAll(/"name":"captured-\d+"/g, `"name":"${CANARY}"`);
  await waitFor(`${count} rules in force`, async () => {
    const answer = await ask(servers.fairlead, `/rules-fail/${servers.secret}`, body);
    const told = new Set(answer.match(/canary-\d+/g));
    return told.size === 1 && told.has(canary);
  });
}

const CANARY = "bench-canary";

/** Warns about one name alone, and is not measured otherwise but for looking at the name. */
function canaryRule(name: string): KubernetesObject {
  const { spec, ...rule } = ruleObject(name, {
    matchConditions: { "the-canary": `object.metadata.name == '${CANARY}'` },
    validations: ["false"],
  });
  return { ...rule, spec: { ...(spec as object), actions: ["Warn"] } };
}

async function ask({ port, caPem }: Server, path: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  request({ host: "127.0.0.1", port, path, method: "POST", ca: caPem, headers, agent: false }, (response) => {
    text(response).then(resolve, reject);
  })
    .once("error", reject)
    .end(body);
  return promise;
}
