import { type FormEvent, useId, useState } from "react";
import { sentence } from "../api/client";
import type { Brand } from "../api/types";
import { useSaveBrand } from "../api/workspace";
import { Button, IconButton } from "../ui/controls";
import { useFocusHere } from "../ui/hooks";
import { Callout, useToast } from "../ui/messages";
import { filled, type Keyed, keyed, MOST_COLOURS } from "./rows";

/** A brand's name and colours; `brand` is null for a new one. */
export function BrandForm({ brand, onClose }: { brand: Brand | null; onClose: () => void }) {
  const save = useSaveBrand(brand?.id ?? null);
  const tell = useToast();
  const [name, setName] = useState(brand?.name ?? "");
  const [colours, setColours] = useState<Keyed<{ colour: string }>[]>(() =>
    (brand?.colours ?? []).map((colour) => keyed({ colour })),
  );
  const id = useId();
  const first = useFocusHere<HTMLInputElement>();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(
      { name: name.trim(), colours: colours.map((one) => one.colour) },
      {
        onSuccess: () => {
          tell("Brand saved");
          onClose();
        },
      },
    );
  };
  return (
    <form
      className="plate brand-form"
      aria-label={brand ? `Change ${brand.name}` : "New brand"}
      onSubmit={submit}
    >
      <div className="field">
        <label className="label" htmlFor={id}>
          Name
        </label>
        <input
          id={id}
          className="input"
          value={name}
          maxLength={200}
          required
          ref={first}
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <fieldset className="field">
        <legend className="label">Colours</legend>
        <div className="colours">
          {colours.map((one, place) => (
            <span key={one.key} className="colour">
              <input
                type="color"
                aria-label={`Colour ${place + 1}`}
                value={one.colour}
                onChange={(event) =>
                  setColours(
                    colours.map((old) => (old === one ? { ...old, colour: event.target.value } : old)),
                  )
                }
              />
              <IconButton
                icon="close"
                label={`Remove colour ${place + 1}`}
                onClick={() => setColours(colours.filter((other) => other !== one))}
              />
            </span>
          ))}
          {colours.length < MOST_COLOURS && (
            <Button
              look="quiet"
              icon="plus"
              onClick={() => setColours([...colours, keyed({ colour: "#0b6e76" })])}
            >
              Add a colour
            </Button>
          )}
        </div>
      </fieldset>
      {save.isError && <Callout tone="error">{sentence(save.error)}</Callout>}
      <div className="form-end">
        <Button onClick={onClose}>Cancel</Button>
        <Button type="submit" look="primary" busy={save.isPending} disabled={!filled(name)}>
          Save
        </Button>
      </div>
    </form>
  );
}
