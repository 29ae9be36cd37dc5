import {
  type AuthorityState,
  CA_LIFETIME_MS,
  type CertificateAction,
  type CertificateFacts,
  type CertificateState,
  LEAF_LIFETIME_MS,
  planCertificates,
  type SecretState,
} from "../../src/controller/certificate-plan.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;
const CONFIGURATIONS = ["mutating", "validating"] as const;
const REPLICAS = 3;

interface Leaf {
  readonly certificate: CertificateFacts;
  readonly issuer: string;
}

/**
 * Secrets, webhook configurations and replicas of one cluster, with certificates as mere facts. Each step does one
 * random thing; after each the promise is checked: every leaf that is served and has not expired is signed by a CA
 * that is in every bundle.
 */
export class Simulation {
  readonly #random: (below: number) => number;
  #nowMs: number;
  #serial = 0;
  #authority: SecretState<AuthorityState> = { state: "absent" };
  #leaf: Leaf | undefined;
  readonly #bundles = new Map<string, { cas: readonly CertificateFacts[]; seenSinceMs: number }>();
  readonly #served: (Leaf | undefined)[] = Array.from({ length: REPLICAS }, () => undefined);
  readonly #known = new Map<string, CertificateFacts>();

  constructor(seed: number, nowMs: number) {
    this.#random = xorshift(seed);
    this.#nowMs = nowMs;
    for (const name of CONFIGURATIONS) this.#bundles.set(name, { cas: [], seenSinceMs: 0 });
  }

  step(): void {
    const dice = this.#random(100);
    if (dice < 30) this.#nowMs += this.#random(60) * 60_000;
    else if (dice < 40) this.#nowMs += this.#random(4) * DAY_MS;
    else if (dice < 65) this.#reload(this.#random(REPLICAS));
    else if (dice < 99) this.#performOne();
    else this.#breakAuthority();
    this.#check();
  }

  /** Everything runs as it should: the plan must come to rest, with one CA's leaf on every replica. */
  settle(): void {
    for (let round = 0; round < 50; round += 1) {
      this.#nowMs += 60_000;
      for (const action of this.#plan()) this.#perform(action);
      for (let replica = 0; replica < REPLICAS; replica += 1) this.#reload(replica);
      this.#check();
    }
    const rest = this.#plan();
    if (rest.length > 0) throw new Error(`the plan does not come to rest: ${JSON.stringify(rest)}`);
    for (const leaf of this.#served) {
      if (leaf === undefined || leaf.certificate.notAfterMs <= this.#nowMs)
        throw new Error("a replica serves no valid leaf");
    }
  }

  #plan(): readonly CertificateAction[] {
    const leaf = this.#leaf;
    const state: CertificateState = {
      authority: this.#authority,
      leaf:
        leaf === undefined
          ? { state: "absent" }
          : {
              state: "ours",
              value: { certificate: leaf.certificate, issuer: this.#visible(leaf.issuer), missingNames: [] },
            },
      bundles: [...this.#bundles].map(([configuration, { cas, seenSinceMs }]) => ({
        configuration,
        certificates: cas.map((ca) => ({ ...ca, ours: true })),
        readable: true,
        seenSinceMs,
      })),
    };
    return planCertificates(state, this.#nowMs).actions;
  }

  /** The issuer of the stored leaf is recognised only among the CAs of the Secret. */
  #visible(issuer: string): string | undefined {
    if (this.#authority.state !== "ours") return undefined;
    const { current, previous } = this.#authority.value;
    return [current, ...previous].some((ca) => ca.fingerprint === issuer) ? issuer : undefined;
  }

  #performOne(): void {
    const actions = this.#plan();
    const action = actions[this.#random(Math.max(1, actions.length))];
    if (action !== undefined) this.#perform(action);
  }

  #perform(action: CertificateAction): void {
    const held = this.#authority.state === "ours" ? this.#authority.value : undefined;
    switch (action.type) {
      case "create-ca":
        this.#own({
          current: this.#issue("ca", CA_LIFETIME_MS),
          previous: action.keep,
          previousCanSign: action.keepKey,
          previousUntilMs: action.keepUntilMs,
        });
        break;
      case "retire-previous":
        if (held) this.#own({ ...held, previousCanSign: false, previousUntilMs: action.untilMs });
        break;
      case "drop-previous":
        if (held) this.#own({ ...held, previous: [], previousCanSign: false, previousUntilMs: undefined });
        break;
      case "sign-leaf": {
        const signer = action.by === "current" ? held?.current : held?.previous[0];
        if (signer === undefined) throw new Error("no CA to sign with");
        const certificate = this.#issue("leaf", LEAF_LIFETIME_MS);
        const notAfterMs = Math.min(certificate.notAfterMs, signer.notAfterMs);
        this.#leaf = { certificate: { ...certificate, notAfterMs }, issuer: signer.fingerprint };
        break;
      }
      case "set-bundle":
        this.#setBundles(action.configurations, action.pem);
        break;
      case "report":
        break;
    }
  }

  /** Any one of the patches may get lost: the API server was away. */
  #setBundles(configurations: readonly string[], pem: string): void {
    const cas = pem.split("\n").flatMap((fingerprint) => this.#known.get(fingerprint) ?? []);
    for (const name of configurations) {
      if (this.#random(4) > 0) this.#bundles.set(name, { cas, seenSinceMs: this.#nowMs });
    }
  }

  #own(value: AuthorityState): void {
    this.#authority = { state: "ours", value };
  }

  #issue(kind: string, lifetimeMs: number): CertificateFacts {
    this.#serial += 1;
    const fingerprint = `${kind}-${this.#serial}`;
    const facts = {
      pem: `${fingerprint}\n`,
      fingerprint,
      notBeforeMs: this.#nowMs,
      notAfterMs: this.#nowMs + lifetimeMs,
    };
    this.#known.set(fingerprint, facts);
    return facts;
  }

  /** Replicas follow the Secret whenever they like: a kubelet may be late by any time. */
  #reload(replica: number): void {
    this.#served[replica] = this.#leaf;
  }

  #breakAuthority(): void {
    if (this.#authority.state !== "ours") return;
    const { current, previous } = this.#authority.value;
    const readable = this.#random(2) === 0 ? [current, ...previous] : [];
    this.#authority =
      this.#random(2) === 0 ? { state: "absent" } : { state: "broken", problem: "broken by the test", readable };
  }

  #check(): void {
    for (const leaf of this.#served) {
      if (leaf === undefined || leaf.certificate.notAfterMs <= this.#nowMs) continue;
      for (const [name, { cas }] of this.#bundles) {
        if (cas.some((ca) => ca.fingerprint === leaf.issuer && ca.notAfterMs > this.#nowMs)) continue;
        throw new Error(`${leaf.certificate.fingerprint} of ${leaf.issuer} does not verify against ${name}`);
      }
    }
  }
}

function xorshift(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}
