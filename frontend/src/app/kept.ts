import { UnsavedMasks } from "../create/unsaved";
import { OpenForms } from "../ui/openForms";

interface Work {
  masks: UnsavedMasks;
  /** By workspace. */
  forms: Map<string, OpenForms>;
}

/**
 * What was painted and typed on this page and is not in the studio yet. It outlives a session that ends and a look at
 * another workspace, and only the member who made it gets it back.
 */
export class Kept {
  private readonly works = new Map<string, Work>();
  private readonly listeners = new Set<() => void>();

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  /** The masks of a member, in whichever workspace: each knows its own. */
  masks(user: string): UnsavedMasks {
    return this.of(user).masks;
  }

  forms(user: string, workspace: string): OpenForms {
    const { forms } = this.of(user);
    const known = forms.get(workspace);
    if (known) return known;
    const made = new OpenForms();
    made.subscribe(this.tell);
    forms.set(workspace, made);
    return made;
  }

  /** Whether the member would lose something with this page; any member, while nobody is signed in. */
  unsaved(user: string | null): boolean {
    const works = user === null ? [...this.works.values()] : [this.of(user)];
    return works.some(
      ({ masks, forms }) => masks.count() > 0 || [...forms.values()].some((one) => one.changed()),
    );
  }

  /** The member leaves without it. */
  forget(user: string): void {
    this.works.delete(user);
    this.tell();
  }

  private of(user: string): Work {
    const known = this.works.get(user);
    if (known) return known;
    const made: Work = { masks: new UnsavedMasks(), forms: new Map() };
    made.masks.subscribe(this.tell);
    this.works.set(user, made);
    return made;
  }

  private readonly tell = (): void => {
    for (const listener of this.listeners) listener();
  };
}

/** One for the page. */
export const kept = new Kept();
