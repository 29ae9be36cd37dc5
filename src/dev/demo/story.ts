import { isDeepStrictEqual } from "node:util";
import { MODE_LABEL } from "../../core/names.ts";
import type { KubernetesObject } from "../../core/kubernetes.ts";
import { waitFor } from "../control-plane/wait.ts";
import { screen, seconds, type Settings } from "./screen.ts";
import {
  expectThat,
  kubectl,
  kubectlOk,
  kubectlWhen,
  live,
  manifest,
  PATIENCE,
  type Stage,
  settingsOf,
} from "./stage.ts";

interface Step {
  readonly title: string;
  /** What happens and why it matters. */
  readonly why: readonly string[];
  readonly run: (stage: Stage) => Promise<void>;
}

const IAM = "examples/iam-policy-service";

/** Each step is a test as well: it throws where the cluster does not do what the text says. */
export const STORY: readonly Step[] = [
  {
    title: "A policy comes first, and Fairlead says what it still lacks",
    why: [
      "One label opts the namespace in. The policy is admitted before its Service exists: order does not matter.",
      "A warning is not an error. kubectl shows it, the write goes through, and the status says the same to everybody.",
    ],
    run: policyFirst,
  },
  {
    title: "A Service gets its settings in the write that creates it",
    why: [
      "The manifest says nothing about resilience. This is what the API server answered to that one write,",
      "so no moment exists in which the Service runs without its settings. The policy then is Ready.",
    ],
    run: injected,
  },
  {
    title: "Values that Linkerd would drop in silence are refused",
    why: [
      "Linkerd has no webhook for Services: it drops a whole group of settings for one space, with one line in a log.",
      "Here the writer hears of all three mistakes at once, each with a value that works.",
    ],
    run: refused,
  },
  {
    title: "In warn mode the same findings only warn",
    why: [
      "For the first week in a new namespace: settings are injected, nothing is refused, everybody sees what would be.",
    ],
    run: warned,
  },
  {
    title: "A Service that was there before follows a policy that comes after",
    why: [
      "Nobody writes the Service again. Fairlead's controller touches one label, and the webhook injects within",
      "that write, so that a later server-side apply by the team meets no conflict of owners.",
    ],
    run: follows,
  },
  {
    title: "A policy changes, and every Service that it selects follows",
    why: [
      "One policy for a team: the timeout gets shorter, and the breaker is switched off. Ready means that every target",
      "has the new revision. What is switched off is taken off exactly: the five keys of the breaker.",
    ],
    run: changed,
  },
  {
    title: "Override replaces what people wrote, and says so",
    why: [
      "By default values that people wrote are kept, with a warning. This policy asks to replace them, group by group:",
      "the timeout in the manifest stays, because no policy names it.",
    ],
    run: overridden,
  },
  {
    title: "What somebody takes off is put back, and an Event says so",
    why: [
      "In enforce mode the webhook would put it back within the same write. In audit mode it leaves everything as it is,",
      "so this removal passes. Back in enforce mode the controller repairs it.",
    ],
    run: repaired,
  },
  {
    title: "Some requests of a Service get settings of their own",
    why: [
      'The policy tells requests apart, and Fairlead writes the HTTPRoutes. Linkerd\'s routes cannot say "no retries",',
      "so the retries leave the Service and stand on every route but that of the writes.",
    ],
    run: routed,
  },
  {
    title: "A rule refuses a policy for what it would do, and an exception lets it pass",
    why: [
      "The platform wants that no request waits longer than 30 s. This policy would make those of one Service wait two",
      "minutes, so it is refused, with the name of that Service. Whoever answers for it gets an exception that ends.",
    ],
    run: ruled,
  },
  {
    title: "The policy goes, and the Service is exactly as people left it",
    why: [
      "What was replaced comes back, what was added goes. Nothing of Fairlead's is left on the object. The policy waits",
      "for that: when kubectl returns, it has happened.",
    ],
    run: removed,
  },
];

export async function tell(stage: Stage): Promise<void> {
  for (const [index, step] of STORY.entries()) {
    screen.line();
    screen.heading(`${index + 1}. ${step.title}`);
    for (const text of step.why) screen.note(text);
    screen.line();
    await step.run(stage);
  }
}

async function policyFirst(stage: Stage): Promise<void> {
  await kubectlOk(stage, ["apply", "-f", `${IAM}/0-namespace.yaml`]);
  await modeIsKnown(stage, "iam-policy-service");
  const { stderr } = await kubectlOk(stage, ["apply", "-f", `${IAM}/policy.yaml`]);
  expectThat(stderr.includes("does not exist yet"), "a warning that the target does not exist yet", stderr);
  await condition(stage, "TargetServiceNotFound", { policy: "policy-service", namespace: "iam-policy-service" });
  const message = 'jsonpath={.status.conditions[?(@.type=="TargetServiceNotFound")].message}';
  const { stdout } = await kubectlOk(stage, ["get", "rp", "policy-service", "-n", "iam-policy-service", "-o", message]);
  expectThat(stdout.includes("does not exist in namespace"), "a status that names what is missing", stdout);
}

async function injected(stage: Stage): Promise<void> {
  const { stdout } = await kubectlOk(stage, ["apply", "-f", `${IAM}/service.yaml`, "-o", "json"]);
  const answer = JSON.parse(stdout) as KubernetesObject;
  screen.difference(settingsOf(manifest(`${IAM}/service.yaml`)), settingsOf(answer));
  const { metadata } = answer;
  expectThat(metadata?.annotations?.["retry.linkerd.io/http"] === "gateway-error,429", "retries in the answer itself");
  expectThat(metadata?.annotations?.["timeout.linkerd.io/request"] === "1500ms", "a timeout in the answer itself");
  await condition(stage, "Ready", { policy: "policy-service", namespace: "iam-policy-service" });
  await kubectlOk(stage, ["get", "rp", "-n", "iam-policy-service"]);
  const stored = await live(stage, "policy-service", "iam-policy-service");
  const sameVersion = stored.metadata?.resourceVersion === metadata?.resourceVersion;
  expectThat(sameVersion, "one write only", "a second one after it");
}

async function refused(stage: Stage): Promise<void> {
  await kubectlOk(stage, ["apply", "-f", "examples/refused/0-namespace.yaml"]);
  await modeIsKnown(stage, "checkout");
  const { code, stderr } = await kubectl(stage, ["apply", "-f", "examples/refused/service.yaml"]);
  expectThat(code === 1, "kubectl to fail with exit code 1", `exit code ${code}`);
  expectThat(stderr.includes('fix: write "5xx,429"'), "a refusal with the value that works", stderr);
  const gone = await stage.controlPlane.kubectl(["get", "service", "cart", "-n", "checkout"]);
  expectThat(gone.code !== 0, "nothing stored", "the Service that was refused");
}

async function warned(stage: Stage): Promise<void> {
  const { stderr } = await kubectlOk(stage, ["apply", "-f", "examples/warn-mode.yaml"]);
  expectThat(stderr.includes("would be refused"), "a warning that it would be refused", stderr);
}

async function follows(stage: Stage): Promise<void> {
  const files = ["-f", "examples/timeouts/0-namespace.yaml", "-f", "examples/timeouts/service.yaml"];
  await kubectlOk(stage, ["apply", ...files]);
  const before = settingsOf(await live(stage, "catalog", "search"));
  expectThat(Object.keys(before).length === 0, "a Service without settings", JSON.stringify(before));
  await modeIsKnown(stage, "search");
  await kubectlOk(stage, ["apply", "-f", "examples/timeouts/policy.yaml"]);
  const { after, ms } = await settingsWhen(stage, { service: "catalog", namespace: "search" }, (settings) =>
    Object.hasOwn(settings, "timeout.linkerd.io/request"),
  );
  screen.note(`seen on the Service ${seconds(ms)} after kubectl had returned:`);
  screen.difference(before, after);
  expectThat(after["timeout.linkerd.io/request"] === "2500ms", "2s500ms as 2500ms, which is how Linkerd can read it");
}

async function overridden(stage: Stage): Promise<void> {
  const files = ["-f", "examples/override/0-namespace.yaml", "-f", "examples/override/policy.yaml"];
  await kubectlOk(stage, ["apply", ...files]);
  await modeIsKnown(stage, "accounts");
  await policyIsKnown(stage, "accounts");
  const { stderr } = await kubectlOk(stage, ["apply", "-f", "examples/override/service.yaml"]);
  expectThat(stderr.includes("remove retry.linkerd.io/limit from your manifest"), "a warning for each value", stderr);
  const after = settingsOf(await live(stage, "sessions", "accounts"));
  screen.difference(settingsOf(manifest("examples/override/service.yaml")), after);
  expectThat(after["retry.linkerd.io/limit"] === "1", "the limit of the policy", after["retry.linkerd.io/limit"]);
  expectThat(after["timeout.linkerd.io/request"] === "4s", "the timeout of the manifest, which no policy names");
}

async function changed(stage: Stage): Promise<void> {
  const policy = { policy: "team-defaults", namespace: "payments" };
  const cards = { service: "cards", namespace: "payments" };
  await kubectlOk(stage, ["apply", "-f", "examples/fleet.yaml"]);
  await condition(stage, "Ready", policy);
  const { after: before } = await settingsWhen(stage, cards, hasBreaker);
  const change = { spec: { circuitBreaker: { enabled: false }, timeout: { request: "5s" } } };
  await kubectlOk(stage, [
    "patch",
    "rp",
    "team-defaults",
    "-n",
    "payments",
    "--type=merge",
    "-p",
    JSON.stringify(change),
  ]);
  await condition(stage, "Ready", policy);
  await kubectlOk(stage, ["get", "rp", "-n", "payments"]);
  const after = settingsOf(await live(stage, "cards", "payments"));
  screen.note("on the Service cards:");
  screen.difference(before, after);
  expectThat(after["timeout.linkerd.io/request"] === "5000ms", "the new timeout", after["timeout.linkerd.io/request"]);
  const ledger = settingsOf(await live(stage, "ledger", "payments"));
  expectThat(!hasBreaker(after) && !hasBreaker(ledger), "no breaker on either Service", JSON.stringify(ledger));
  const ownTimeout = ledger["timeout.linkerd.io/request"];
  expectThat(ownTimeout === "30000ms", "the timeout of the policy that names ledger", ownTimeout);
}

function hasBreaker(settings: Settings): boolean {
  return Object.keys(settings).some((key) => key.startsWith("balancer.linkerd.io/"));
}

async function repaired(stage: Stage): Promise<void> {
  const sessions = { service: "sessions", namespace: "accounts" };
  const limit = "retry.linkerd.io/limit";
  await setMode(stage, "accounts", "audit");
  await kubectlOk(stage, ["annotate", "service", "sessions", "-n", "accounts", `${limit}-`]);
  const before = settingsOf(await live(stage, "sessions", "accounts"));
  expectThat(before[limit] === undefined, "an edit that audit mode leaves alone", before[limit]);
  await setMode(stage, "accounts", "enforce");
  const { after, ms } = await settingsWhen(stage, sessions, (settings) => settings[limit] === "1");
  screen.note(`seen on the Service ${seconds(ms)} after kubectl had returned:`);
  screen.difference(before, after);
  const events = ["events", "-n", "accounts", "--for", "service/sessions"];
  await kubectlWhen(stage, events, (stdout) => stdout.includes("Repaired"));
}

async function routed(stage: Stage): Promise<void> {
  await kubectlOk(stage, ["apply", "-f", "examples/routes.yaml"]);
  await condition(stage, "Ready", { policy: "stock", namespace: "warehouse" });
  const columns = [
    "NAME:.metadata.name",
    "METHODS:.spec.rules[0].matches[*].method",
    "PATH:.spec.rules[0].matches[0].path.value",
    "RETRIES:.metadata.annotations.retry\\.linkerd\\.io/limit",
    "TIMEOUT:.metadata.annotations.timeout\\.linkerd\\.io/request",
  ];
  const table = `custom-columns=${columns.join(",")}`;
  const routes = ["get", "httproutes", "-n", "warehouse", "-o", table];
  await kubectlWhen(stage, routes, (stdout) => /^stock-stock-writes .*<none> +<none>$/m.test(stdout));
  const settings = settingsOf(await live(stage, "stock", "warehouse"));
  expectThat(settings["retry.linkerd.io/limit"] === undefined, "no retries on the Service itself");
}

const DAY_MS = 24 * 60 * 60 * 1000;

async function ruled(stage: Stage): Promise<void> {
  const longer = [
    "patch",
    "rp",
    "stock",
    "-n",
    "warehouse",
    "--type=merge",
    "-p",
    '{"spec":{"timeout":{"request":"2m"}}}',
  ];
  await kubectlOk(stage, ["apply", "-f", "examples/rules/request-timeout.yaml"]);
  await kubectlOk(stage, ["wait", "admissionrule/request-timeout", "--for=condition=Ready", "--timeout=20s"]);
  const isAsked = async (): Promise<boolean> =>
    (await stage.controlPlane.kubectl([...longer, "--dry-run=server"])).code !== 0;
  await waitFor("the API server to ask about the rule", isAsked, PATIENCE);
  const { code, stderr } = await kubectl(stage, longer);
  expectThat(
    code === 1 && stderr.includes("Service warehouse/stock: rule request-timeout"),
    "a refusal by effect",
    stderr,
  );
  const end = `${new Date(Date.now() + 30 * DAY_MS).toISOString().slice(0, 10)}T00:00:00Z`;
  const exception = [
    "apiVersion: fairlead.dev/v1alpha1",
    "kind: RuleException",
    "metadata: {name: stock-is-slow, namespace: warehouse}",
    "spec:",
    "  rules: [request-timeout]",
    "  objectNames: [stock]",
    "  owner: team-stock@example.com",
    "  reason: Reports take two minutes until they are made in the background",
    `  expiresAt: "${end}"`,
  ];
  for (const line of exception) screen.note(`  ${line}`);
  await kubectlOk(stage, ["apply", "-f", "-"], exception.join("\n"));
  await waitFor(
    "the exception in Fairlead's world",
    () => stage.fairlead.store.exceptionsIn("warehouse").length > 0,
    PATIENCE,
  );
  await kubectlOk(stage, longer);
  await kubectlOk(stage, ["delete", "admissionrule", "request-timeout"]);
}

async function removed(stage: Stage): Promise<void> {
  const before = settingsOf(await live(stage, "sessions", "accounts"));
  await kubectlOk(stage, ["delete", "resiliencepolicy", "sessions", "-n", "accounts"]);
  const after = settingsOf(await live(stage, "sessions", "accounts"));
  screen.difference(before, after);
  const { "retry.linkerd.io/limit": _, ...left } = settingsOf(manifest("examples/override/service.yaml"));
  expectThat(isDeepStrictEqual(after, left), "what people left on the Service", JSON.stringify(after));
  screen.good("equal to the manifest, but for the limit that was removed by hand");
}

/** Waits as a pipeline would; kubectl asks for the generation of now as well. */
async function condition(
  stage: Stage,
  type: string,
  { policy, namespace }: { readonly policy: string; readonly namespace: string },
): Promise<void> {
  await kubectlOk(stage, ["wait", `rp/${policy}`, "-n", namespace, `--for=condition=${type}`, "--timeout=20s"]);
}

async function setMode(stage: Stage, namespace: string, mode: string): Promise<void> {
  await kubectlOk(stage, ["label", "namespace", namespace, "--overwrite", `${MODE_LABEL}=${mode}`]);
  await modeIsKnown(stage, namespace, mode);
}

/** kubectl returns when the object is stored; the watch brings it to Fairlead some milliseconds later. */
function modeIsKnown({ fairlead }: Stage, namespace: string, mode = "enforce"): Promise<void> {
  const isKnown = (): boolean => fairlead.store.namespace(namespace)?.labels[MODE_LABEL] === mode;
  return waitFor(`namespace ${namespace} in Fairlead's world`, isKnown, PATIENCE);
}

function policyIsKnown({ fairlead }: Stage, namespace: string): Promise<void> {
  const isKnown = (): boolean => fairlead.store.policiesIn(namespace).length > 0;
  return waitFor(`the policy of ${namespace} in Fairlead's world`, isKnown, PATIENCE);
}

async function settingsWhen(
  stage: Stage,
  target: { readonly service: string; readonly namespace: string },
  holds: (settings: Settings) => boolean,
): Promise<{ readonly after: Settings; readonly ms: number }> {
  const startMs = performance.now();
  let after: Settings = {};
  const isThere = async (): Promise<boolean> => {
    after = settingsOf(await live(stage, target.service, target.namespace));
    return holds(after);
  };
  await waitFor(`the settings of Service ${target.namespace}/${target.service}`, isThere, PATIENCE);
  return { after, ms: performance.now() - startMs };
}
