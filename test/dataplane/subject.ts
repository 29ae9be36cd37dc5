import type { Backend, Behaviour } from "./backend.ts";
import type { Member } from "./mesh.ts";
import { hostOf } from "./objects.ts";
import { countStatuses, type HttpAnswer, type HttpRequest, send } from "./traffic.ts";
import { requestTo } from "./workloads.ts";

const SLOW_MS = 3_000;
/** Without ejection the chance that three or fewer of them reach one of two backends is one in ten million. */
const IN_ORDER = 40;

interface SubjectParts {
  readonly service: string;
  readonly client: Member;
  readonly backends: readonly Backend[];
}

/** A Service whose backends are told what to do, the client that asks for it, and questions that tell a policy. */
export class Subject {
  readonly #parts: SubjectParts;

  constructor(parts: SubjectParts) {
    this.#parts = parts;
  }

  get request(): HttpRequest {
    return requestTo(this.#parts.service, this.#parts.client);
  }

  get backends(): readonly Backend[] {
    return this.#parts.backends;
  }

  /** The one backend that is told to fail where the others do not. */
  get first(): Backend {
    const [first] = this.backends;
    if (first === undefined) throw new Error(`${this.#parts.service} has no backends`);
    return first;
  }

  /** One request while every backend behaves so, with how many requests they got for it. */
  async ask(behaviour: Behaviour): Promise<HttpAnswer & { readonly hits: number }> {
    for (const backend of this.backends) Object.assign(backend, { behaviour, hits: 0 });
    const answer = await send(this.request);
    return { ...answer, hits: this.backends.reduce((sum, { hits }) => sum + hits, 0) };
  }

  /** The same as plain data without the time that it took. */
  async askForStatus(status: number): Promise<{ readonly status: number; readonly hits: number }> {
    const answer = await this.ask({ status });
    return { status: answer.status, hits: answer.hits };
  }

  /** One request while every backend takes three seconds. */
  async askSlow(): Promise<{ readonly status: number; readonly elapsedMs: number; readonly hits: number }> {
    const { status, elapsedMs, hits } = await this.ask({ delayMs: SLOW_MS });
    return { status, elapsedMs, hits };
  }

  /**
   * Forty requests one after the other while the first backend fails, by status. Envoy ejects in its main thread while
   * the next request may be under way; the same thread tells the counters, so once it did, the ejection is done.
   */
  async askWhileOneFails(): Promise<Readonly<Record<number, number>>> {
    for (const backend of this.backends) backend.reset();
    this.first.behaviour = { status: 503 };
    const answers: HttpAnswer[] = [];
    for (let index = 0; index < IN_ORDER; index++) {
      answers.push(await send(this.request));
      await this.ejections();
    }
    return countStatuses(answers);
  }

  /** How often the proxy has ejected a backend of the Service as it is configured now. */
  async ejections(): Promise<number> {
    const { service, client } = this.#parts;
    const counters = await client.proxy.stats(`${hostOf(service)}.*ejections_enforced_total$`);
    return [...counters.values()].reduce((sum, count) => sum + count, 0);
  }
}
