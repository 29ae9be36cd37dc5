import { isDeepStrictEqual } from "node:util";
import { MODE_LABEL } from "../../core/names.ts";
import type { KubernetesObject } from "../../core/kubernetes.ts";
import { waitFor } from "../control-plane/wait.ts";
import { screen, seconds } from "./screen.ts";
import { expectThat, kubectl, kubectlOk, live, manifest, type Stage, settingsOf } from "./stage.ts";

interface Step {
  readonly title: string;
  /** What happens and why it matters. */
  readonly why: readonly string[];
  readonly run: (stage: Stage) => Promise<void>;
}

const IAM = "examples/iam-policy-service";
/** Far more than it takes; a step that needs longer has gone wrong. */
const PATIENCE = { timeoutMs: 20_000 };

/** Each step is a test as well: it throws where the cluster does not do what the text says. */
export const STORY: readonly Step[] = [
  {
    title: "A policy comes first, and Fairlead says what it still lacks",
    why: [
      "One label opts the namespace in. The policy is admitted before its Service exists: order does not matter.",
      "A warning is not an error. kubectl shows it, and the write goes through.",
    ],
    run: policyFirst,
  },
  {
    title: "A Service gets its settings in the write that creates it",
    why: [
      "The manifest says nothing about resilience. This is what the API server answered to that one write,",
      "so no moment exists in which the Service runs without its settings.",
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
    title: "Override replaces what people wrote, and says so",
    why: [
      "By default values that people wrote are kept, with a warning. This policy asks to replace them, group by group:",
      "the timeout in the manifest stays, because no policy names it.",
    ],
    run: overridden,
  },
  {
    title: "The policy goes, and the Service is exactly as its manifest says",
    why: ["What was replaced comes back, what was added goes. Nothing of Fairlead's is left on the object."],
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
  await policyIsKnown(stage, "iam-policy-service");
}

async function injected(stage: Stage): Promise<void> {
  const { stdout } = await kubectlOk(stage, ["apply", "-f", `${IAM}/service.yaml`, "-o", "json"]);
  const answer = JSON.parse(stdout) as KubernetesObject;
  screen.difference(settingsOf(manifest(`${IAM}/service.yaml`)), settingsOf(answer));
  const { metadata } = answer;
  expectThat(metadata?.annotations?.["retry.linkerd.io/http"] === "gateway-error,429", "retries in the answer itself");
  expectThat(metadata?.annotations?.["timeout.linkerd.io/request"] === "1500ms", "a timeout in the answer itself");
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

async function removed(stage: Stage): Promise<void> {
  const before = settingsOf(await live(stage, "sessions", "accounts"));
  await kubectlOk(stage, ["delete", "resiliencepolicy", "sessions", "-n", "accounts"]);
  const written = settingsOf(manifest("examples/override/service.yaml"));
  const { after, ms } = await settingsWhen(stage, { service: "sessions", namespace: "accounts" }, (settings) =>
    isDeepStrictEqual(settings, written),
  );
  screen.note(`seen on the Service ${seconds(ms)} after kubectl had returned:`);
  screen.difference(before, after);
  screen.good("equal to the manifest, to the letter");
}

/** kubectl returns when the object is stored; the watch brings it to Fairlead some milliseconds later. */
function modeIsKnown({ fairlead }: Stage, namespace: string): Promise<void> {
  const isKnown = (): boolean => fairlead.store.namespace(namespace)?.labels[MODE_LABEL] !== undefined;
  return waitFor(`namespace ${namespace} in Fairlead's world`, isKnown, PATIENCE);
}

function policyIsKnown({ fairlead }: Stage, namespace: string): Promise<void> {
  const isKnown = (): boolean => fairlead.store.policiesIn(namespace).length > 0;
  return waitFor(`the policy of ${namespace} in Fairlead's world`, isKnown, PATIENCE);
}

async function settingsWhen(
  stage: Stage,
  target: { readonly service: string; readonly namespace: string },
  holds: (settings: Readonly<Record<string, string>>) => boolean,
): Promise<{ readonly after: Readonly<Record<string, string>>; readonly ms: number }> {
  const startMs = performance.now();
  let after: Readonly<Record<string, string>> = {};
  const isThere = async (): Promise<boolean> => {
    after = settingsOf(await live(stage, target.service, target.namespace));
    return holds(after);
  };
  await waitFor(`the settings of Service ${target.namespace}/${target.service}`, isThere, PATIENCE);
  return { after, ms: performance.now() - startMs };
}
