/** First come, first served exclusion within this process; one instance per thing to be guarded. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve();

  /** Run `body` alone; the next in line starts when it has settled. */
  run<T>(body: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(body);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  /** Resolves when it is the caller's turn, with the function that ends the turn. */
  hold(): Promise<() => void> {
    return new Promise((taken) => {
      void this.run(() => new Promise<void>((release) => taken(release)));
    });
  }
}

/** A mutex per name, made when first asked for. */
export class Mutexes {
  readonly #byName = new Map<string, Mutex>();

  run<T>(name: string, body: () => Promise<T>): Promise<T> {
    let mutex = this.#byName.get(name);
    if (mutex === undefined) this.#byName.set(name, (mutex = new Mutex()));
    return mutex.run(body);
  }
}
