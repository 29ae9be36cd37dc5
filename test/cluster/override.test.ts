import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectCarries, expectClean, Session, service } from "./session.ts";

let session: Session;
beforeAll(async () => {
  session = await Session.start();
});
afterAll(() => session?.stop());

const REQUEST = "timeout.linkerd.io/request";
const RESPONSE = "timeout.linkerd.io/response";
const IDLE = "timeout.linkerd.io/idle";
const WANTED = { [REQUEST]: "2500ms" };

function spec(conflictResolution: string, more: object = {}): object {
  return {
    targetRefs: [{ kind: "Service", name: "web" }],
    conflictResolution,
    timeout: { request: "2s500ms" },
    ...more,
  };
}
/** A policy that says nothing of timeouts any more. */
const WITHOUT_TIMEOUT = { timeout: undefined, retry: { maxAttempts: 1, statusCodes: ["503"] } };
const RETRY = { "retry.linkerd.io/http": "503", "retry.linkerd.io/limit": "1" };

/** What Override says of a value, each time the object is written. */
function overrides(key: string, value: string, did: string): string {
  return `FL504 ${key}: Found "${value}"; ResiliencePolicy p overrides and ${did}; remove ${key} from your manifest`;
}
const OVERRIDES_REQUEST = overrides(REQUEST, "9s", 'wrote "2500ms"');
const OVERRIDES_IDLE = overrides(IDLE, "1h", "removed it");
/** What PreferExisting says of it. */
function kept(value: string): string {
  return `FL502 ${REQUEST}: Kept "${value}"; ResiliencePolicy p wants "2500ms"; remove it from the manifest, or set conflictResolution: Override`;
}

describe("Override", () => {
  const people = { [REQUEST]: "9s", [IDLE]: "1h" };

  /** A namespace with a Service whose own timeouts the policy `p` overrides; returns the warnings of its creation. */
  async function overridden(namespace: string): Promise<readonly string[]> {
    await session.namespace(namespace, "enforce");
    await session.policy(namespace, "p", spec("Override"));
    const manifest = service(namespace, "web", { annotations: people });
    const { object, warnings } = await session.write("apply -f -", manifest);
    expectCarries(object, { policy: "p", keys: WANTED, replaced: people });
    return warnings;
  }

  test("replaces the whole group and says of each value what to remove, at every write", async () => {
    const warnings = await overridden("replaces");
    expect(warnings).toEqual([OVERRIDES_IDLE, OVERRIDES_REQUEST]);
    const again = await session.kubectl("label service web -n replaces team=iam");
    expect(again.warnings).toEqual([OVERRIDES_IDLE, OVERRIDES_REQUEST]);
    const applied = await session.write("apply -f -", service("replaces", "web", { annotations: people }));
    expect(applied.warnings).toEqual([OVERRIDES_IDLE, OVERRIDES_REQUEST]);
    expectCarries(applied.object, { policy: "p", keys: WANTED, replaced: people });
  });

  test("gives a person's values back when the policy no longer speaks of them", async () => {
    await overridden("gives-back");
    await session.policy("gives-back", "p", spec("Override", WITHOUT_TIMEOUT));
    expectCarries(await session.service("gives-back", "web"), { policy: "p", keys: RETRY, people });
    const { warnings } = await session.kubectl("label service web -n gives-back team=iam");
    expect(warnings).toEqual([]);
  });

  test("gives them back when the policy is deleted, and when it turns to PreferExisting", async () => {
    await overridden("deleted");
    await session.policy("deleted", "p", spec("PreferExisting"));
    const object = await session.service("deleted", "web");
    expectClean(object, people);
    await session.policy("deleted", "p", spec("Override"));
    expectCarries(await session.service("deleted", "web"), { policy: "p", keys: WANTED, replaced: people });
    await session.deletePolicy("deleted", "p");
    expectClean(await session.service("deleted", "web"), people);
  });

  test("forgets a value that is taken out of the manifest: it is gone for good", async () => {
    await overridden("gone");
    const without = service("gone", "web", { annotations: { [IDLE]: "1h" } });
    const { object, warnings } = await session.write("apply -f -", without);
    expect(warnings).toEqual([OVERRIDES_IDLE]);
    expectCarries(object, { policy: "p", keys: WANTED, replaced: { [IDLE]: "1h" } });
    await session.deletePolicy("gone", "p");
    expectClean(await session.service("gone", "web"), { [IDLE]: "1h" });
  });

  test("does not remember a value that Linkerd would drop, and says so in the write that loses it", async () => {
    await session.namespace("dropped", "enforce");
    await session.policy("dropped", "p", spec("Override"));
    const { object, warnings } = await session.write(
      "create -f -",
      service("dropped", "web", { annotations: { [REQUEST]: "9 s" } }),
    );
    expect(warnings).toEqual([overrides(REQUEST, "9 s", 'wrote "2500ms"')]);
    expectCarries(object, { policy: "p", keys: WANTED });
  });

  test("undoes a person's edit of an injected key in the same write", async () => {
    await overridden("edited");
    const { warnings } = await session.kubectl(`annotate service web -n edited --overwrite ${REQUEST}=7s`);
    expect(warnings).toEqual([OVERRIDES_IDLE, overrides(REQUEST, "7s", 'wrote "2500ms"')]);
    const replaced = { [REQUEST]: "7s", [IDLE]: "1h" };
    expectCarries(await session.service("edited", "web"), { policy: "p", keys: WANTED, replaced });
    await session.kubectl(`annotate service web -n edited ${REQUEST}-`);
    const { [REQUEST]: _gone, ...left } = replaced;
    expectCarries(await session.service("edited", "web"), { policy: "p", keys: WANTED, replaced: left });
    await session.settled("edited");
    expect(await session.audited("edited", "web", 3)).toHaveLength(3);
  });
});

describe("PreferExisting", () => {
  const BREAKER = "balancer.linkerd.io/failure-accrual";
  const MAX_FAILURES = `${BREAKER}-consecutive-max-failures`;
  const REST = {
    [BREAKER]: "consecutive",
    [`${BREAKER}-consecutive-min-penalty`]: "1000ms",
    [`${BREAKER}-consecutive-max-penalty`]: "60000ms",
    [`${BREAKER}-consecutive-jitter-ratio`]: "0.5",
  };

  async function preferring(namespace: string, annotations: object, more: object = {}): Promise<readonly string[]> {
    await session.namespace(namespace, "enforce");
    await session.policy(namespace, "p", spec("PreferExisting", more));
    return (await session.kubectl("create -f -", service(namespace, "web", { annotations }))).warnings;
  }

  test("fills up a group that still holds, and warns of a value that differs", async () => {
    const warnings = await preferring(
      "fills",
      { [MAX_FAILURES]: "3", [RESPONSE]: "1s" },
      { circuitBreaker: { consecutiveFailures: 5 } },
    );
    expect(warnings).toEqual([
      `FL502 ${MAX_FAILURES}: Kept "3"; ResiliencePolicy p wants "5"; remove it from the manifest, or set conflictResolution: Override`,
    ]);
    const people = { [MAX_FAILURES]: "3", [RESPONSE]: "1s" };
    expectCarries(await session.service("fills", "web"), { policy: "p", keys: { ...REST, ...WANTED }, people });
    await session.deletePolicy("fills", "p");
    expectClean(await session.service("fills", "web"), people);
  });

  test("leaves a group that would not hold any more as it is", async () => {
    const people = { [`${BREAKER}-consecutive-min-penalty`]: "2m" };
    const warnings = await preferring("holds", people, { circuitBreaker: {} });
    expect(warnings).toEqual([
      `FL417 ${BREAKER}-consecutive-min-penalty: Linkerd does not look at it: ${BREAKER}…; add ${BREAKER}: consecutive, or remove it`,
      `FL503 ${BREAKER}-consecutive-min-penalty: The circuitBreaker settings stay as written; remove them from the manifest, or set conflictResolution: Override`,
    ]);
    expectCarries(await session.service("holds", "web"), { policy: "p", keys: WANTED, people });
  });

  test("keeps a person's edit of an injected key, and fills the gap when the key is removed", async () => {
    expect(await preferring("edited2", {})).toEqual([]);
    const { warnings } = await session.kubectl(`annotate service web -n edited2 --overwrite ${REQUEST}=7s`);
    expect(warnings).toEqual([kept("7s")]);
    expectClean(await session.service("edited2", "web"), { [REQUEST]: "7s" });
    const removal = await session.kubectl(`annotate service web -n edited2 ${REQUEST}-`);
    expect(removal.warnings).toEqual([]);
    expectCarries(await session.service("edited2", "web"), { policy: "p", keys: WANTED });
    await session.settled("edited2");
    expect(await session.audited("edited2", "web", 3)).toHaveLength(3);
  });

  test("keeps what a person writes over an injected key also after the policy changes and goes", async () => {
    await preferring("stays", {});
    await session.kubectl(`annotate service web -n stays --overwrite ${REQUEST}=7s`);
    await session.policy("stays", "p", spec("PreferExisting", { timeout: { request: "4s", idle: "1m" } }));
    expectCarries(await session.service("stays", "web"), {
      policy: "p",
      keys: { [IDLE]: "60000ms" },
      people: { [REQUEST]: "7s" },
    });
    await session.deletePolicy("stays", "p");
    expectClean(await session.service("stays", "web"), { [REQUEST]: "7s" });
  });
});
