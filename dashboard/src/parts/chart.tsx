import { type KeyboardEvent, type PointerEvent, useId, useMemo, useState } from 'react';
import classes from './chart.module.css';
import { axisDuration } from './format';
import { useSize } from './use-size';

export interface Series {
  name: string;
  /** A CSS colour. */
  color: string;
  /** One value for each step; null: nothing was measured. */
  values: readonly (number | null)[];
  isDashed?: boolean;
}

interface Props {
  label: string;
  /** `bars`: stacked. */
  kind: 'bars' | 'lines';
  series: readonly Series[];
  /** What stands below each step. */
  steps: readonly string[];
  format: (value: number) => string;
  /** Of durations, the axis has round ones. */
  isDuration?: boolean;
  onStep?: ((index: number) => void) | undefined;
  height?: number;
}

const MARGIN = { top: 8, right: 6, bottom: 20, left: 52 };
const TICKS = 4;
const LABEL_WIDTH = 64;

/**
 * Bars or lines over time, drawn as SVG in the colours of the page. Drawn here, because the libraries for it are a
 * third of all that the dashboard may weigh. The arrow keys move from step to step, Enter opens one.
 */
export function Chart({ label, kind, series, steps, format, isDuration = false, onStep, height = 200 }: Props) {
  const [frame, { width }] = useSize();
  const [at, setAt] = useState<number | null>(null);
  const clip = useId();
  const inner = { width: Math.max(0, width - MARGIN.left - MARGIN.right), height: height - MARGIN.top - MARGIN.bottom };
  const most = useMemo(() => largest(kind, series, steps.length), [kind, series, steps.length]);
  const ticks = useMemo(() => ticksUpTo(most, isDuration), [most, isDuration]);
  const top = ticks.at(-1) ?? 1;
  const slot = steps.length === 0 ? 0 : inner.width / steps.length;
  const y = (value: number): number => inner.height - (value / top) * inner.height;
  const x = (index: number): number => (index + 0.5) * slot;

  const point = (event: PointerEvent<SVGSVGElement>): void => {
    const left = event.currentTarget.getBoundingClientRect().left;
    const index = Math.floor((event.clientX - left - MARGIN.left) / slot);
    setAt(index >= 0 && index < steps.length ? index : null);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowRight') setAt(Math.min(steps.length - 1, (at ?? -1) + 1));
    else if (event.key === 'ArrowLeft') setAt(Math.max(0, (at ?? steps.length) - 1));
    else if (event.key === 'Enter' && at !== null) onStep?.(at);
    else if (event.key === 'Escape') setAt(null);
    else return;
    event.preventDefault();
  };
  const every = Math.max(1, Math.ceil(LABEL_WIDTH / Math.max(1, slot)));

  return (
    <div ref={frame} className={classes.frame}>
      <ul className={classes.legend} aria-hidden="true">
        {series.map(({ name, color, isDashed = false }) => (
          <li key={name}>
            <span style={{ borderColor: color, borderTopStyle: isDashed ? 'dashed' : 'solid' }} />
            {name}
          </li>
        ))}
      </ul>
      <svg
        width={width}
        height={height}
        className={classes.chart}
        data-opens={onStep !== undefined || undefined}
        role="img"
        aria-label={`${label}. ${summary(series, format)}`}
        tabIndex={0}
        onPointerMove={point}
        onPointerLeave={() => setAt(null)}
        onClick={() => {
          if (at !== null) onStep?.(at);
        }}
        onKeyDown={onKeyDown}
        onBlur={() => setAt(null)}
      >
        <clipPath id={clip}>
          <rect width={inner.width} height={inner.height + 1} y={-1} />
        </clipPath>
        <g transform={`translate(${MARGIN.left} ${MARGIN.top})`}>
          {ticks.map((tick) => (
            <g key={tick} transform={`translate(0 ${y(tick)})`}>
              <line x2={inner.width} className={classes.grid} />
              <text x={-8} dy="0.32em" textAnchor="end">
                {isDuration ? axisDuration(tick) : format(tick)}
              </text>
            </g>
          ))}
          {steps.map((step, index) =>
            index % every === Math.floor(every / 2) && x(index) > 16 && x(index) < inner.width - 14 ? (
              <text key={`${step} ${index}`} x={x(index)} y={inner.height + 15} textAnchor="middle">
                {step}
              </text>
            ) : null,
          )}
          <g clipPath={`url(#${clip})`}>
            {at !== null && <rect x={at * slot} width={slot} height={inner.height} className={classes.cursor} />}
            {kind === 'bars'
              ? steps.map((_step, index) => <Bar key={index} {...{ series, index, x: index * slot, slot, y }} />)
              : series.map((one) => <Line key={one.name} series={one} x={x} y={y} />)}
          </g>
        </g>
      </svg>
      {at !== null && (
        <div
          className={classes.tip}
          role="status"
          style={
            x(at) > inner.width / 2 ? { right: width - MARGIN.left - x(at) + 12 } : { left: MARGIN.left + x(at) + 12 }
          }
        >
          <strong>{steps[at]}</strong>
          {series.map(({ name, color, values }) => (
            <div key={name}>
              <span style={{ background: color }} />
              {name}
              <b>{shown(values[at], format)}</b>
            </div>
          ))}
        </div>
      )}
    </div>
  );
}

function Bar({
  series,
  index,
  x,
  slot,
  y,
}: {
  series: readonly Series[];
  index: number;
  x: number;
  slot: number;
  y: (value: number) => number;
}) {
  const gap = Math.min(3, slot * 0.2);
  let below = 0;
  return series.map(({ name, color, values }) => {
    const value = values[index] ?? 0;
    if (value === 0) return null;
    const from = below;
    below += value;
    // What is there is seen, however little it is.
    const size = Math.max(1.5, y(from) - y(below));
    return (
      <rect
        key={name}
        x={x + gap / 2}
        width={Math.max(1, slot - gap)}
        y={y(from) - size}
        height={size}
        fill={color}
        rx={Math.min(2, slot / 4)}
      />
    );
  });
}

type Scale = (value: number) => number;

/** Steps without a value leave a gap; one alone is a dot. */
function Line({ series: { values, color, isDashed = false }, x, y }: { series: Series; x: Scale; y: Scale }) {
  const isAlone = (index: number): boolean => !isMeasured(values[index - 1]) && !isMeasured(values[index + 1]);
  return (
    <>
      <path
        d={lineOf(values, x, y)}
        fill="none"
        stroke={color}
        strokeWidth={1.8}
        strokeLinejoin="round"
        strokeLinecap="round"
        strokeDasharray={isDashed ? '4 4' : undefined}
      />
      {values.map((value, index) =>
        isMeasured(value) && isAlone(index) ? (
          <circle
            key={index}
            cx={x(index)}
            cy={y(value)}
            r={2.6}
            fill={isDashed ? 'var(--card)' : color}
            stroke={color}
            strokeWidth={1.4}
          />
        ) : null,
      )}
    </>
  );
}

function isMeasured(value: number | null | undefined): value is number {
  return value !== null && value !== undefined;
}

function lineOf(values: readonly (number | null)[], x: Scale, y: Scale): string {
  return values
    .map((value, index) => {
      if (value === null) return '';
      return `${isMeasured(values[index - 1]) ? 'L' : 'M'}${x(index).toFixed(1)} ${y(value).toFixed(1)}`;
    })
    .join('');
}

function largest(kind: 'bars' | 'lines', series: readonly Series[], count: number): number {
  let most = 0;
  for (let index = 0; index < count; index += 1) {
    const values = series.map(({ values: all }) => all[index] ?? 0);
    most = Math.max(most, kind === 'bars' ? values.reduce((sum, value) => sum + value, 0) : Math.max(0, ...values));
  }
  return most;
}

const TIME_STEPS = [1, 2, 5, 10, 15, 30].flatMap((each) => [each * 1000, each * 60_000]);
const HOURS = [1, 2, 3, 6, 12, 24, 48, 96].map((each) => each * 3_600_000);
const DURATIONS = [...TIME_STEPS, ...HOURS].sort((one, other) => one - other);

/** Round numbers from zero to at least `most`. */
function ticksUpTo(most: number, isDuration: boolean): number[] {
  if (most <= 0) return [0, 1];
  const rough = most / TICKS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const decimal = ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10) * power;
  const step = isDuration && rough > 500 ? (DURATIONS.find((each) => each >= rough) ?? decimal) : decimal;
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
}

function summary(series: readonly Series[], format: (value: number) => string): string {
  return series
    .map(({ name, values }) => {
      const measured = values.filter((value): value is number => value !== null);
      return measured.length === 0 ? `${name}: nothing` : `${name}: up to ${format(Math.max(...measured))}`;
    })
    .join('; ');
}

function shown(value: number | null | undefined, format: (value: number) => string): string {
  return value === null || value === undefined ? '–' : format(value);
}

/** A line without axes, for a table. */
export function Spark({
  values,
  label,
  color = 'var(--mantine-color-anchor)',
}: {
  values: readonly (number | null)[];
  label: string;
  color?: string;
}) {
  const width = 120;
  const height = 28;
  const most = Math.max(1, ...values.map((value) => value ?? 0));
  const x = (index: number): number => (values.length < 2 ? 0 : (index / (values.length - 1)) * width);
  const y = (value: number): number => height - 2 - (value / most) * (height - 4);
  return (
    <svg width={width} height={height} role="img" aria-label={label} className={classes.spark}>
      <path d={lineOf(values, x, y)} fill="none" stroke={color} strokeWidth={1.6} strokeLinejoin="round" />
    </svg>
  );
}
