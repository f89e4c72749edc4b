// Draws one dashboard from its model and the answers of its queries (`window.OBSERVER`), with Grafana's own components. Two
// kinds of panel are not among them (state time line, bar chart): they are drawn plainly here.
import * as React from 'react';
import { createRoot } from 'react-dom/client';
import {
  createTheme, DataFrame, dateTime, Field, FieldType, getDisplayProcessor, ThemeContext, TimeRange,
} from '@grafana/data';
import { BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, Table, TimeSeries } from '@grafana/ui';
import { TooltipDisplayMode } from '@grafana/schema';

type Column = { name: string; type: string };
type Answer = { meta: Column[]; data: Array<Record<string, unknown>> };
type Input = { dashboard: any; answers: Record<string, Answer | string>; from: number; to: number };

const input = (window as any).OBSERVER as Input;
const theme = createTheme({ colors: { mode: 'dark' } });
const CELL = 38;
const WIDTH = 1600;
const range: TimeRange = { from: dateTime(input.from), to: dateTime(input.to), raw: { from: dateTime(input.from), to: dateTime(input.to) } };

function period(panel: any): TimeRange {
  if (!panel.timeFrom) return range;
  const from = dateTime(input.to - parseInt(panel.timeFrom, 10) * 7 * 86400000);
  return { from, to: range.to, raw: { from, to: range.to } };
}

function kind(type: string): FieldType {
  const plain = type.replace(/^(Nullable|LowCardinality)\(/, '');
  if (/^Date/.test(plain)) return FieldType.time;
  if (/^(U?Int|Float|Decimal)/.test(plain)) return FieldType.number;
  return FieldType.string;
}

function value(raw: unknown, type: FieldType): unknown {
  if (raw === null || raw === undefined) return null;
  if (type === FieldType.time) return Date.parse(String(raw).replace(' ', 'T') + 'Z');
  return Array.isArray(raw) ? raw.join(', ') : raw;
}

function override(panel: any, name: string): any {
  const config: any = { ...panel.fieldConfig.defaults, custom: { ...panel.fieldConfig.defaults.custom } };
  for (const rule of panel.fieldConfig.overrides) {
    if (rule.matcher.id === 'byRegexp' || rule.matcher.options === name) for (const p of rule.properties) config[p.id] = p.id === 'links' ? undefined : p.value;
  }
  return config;
}

function finish(field: Field): Field {
  field.display = getDisplayProcessor({ field, theme, timeZone: 'utc' });
  return field;
}

function frame(panel: any, answer: Answer): DataFrame {
  const fields = answer.meta.map((column) => {
    const type = kind(column.type);
    const config = type === FieldType.number ? override(panel, column.name)
      : { ...override(panel, column.name), unit: undefined };
    return finish({ name: column.name, type, config, values: answer.data.map((row) => value(row[column.name], type)) } as Field);
  });
  return { fields, length: answer.data.length };
}

// What the plugin does for time series with a text column: one number field for each text.
function wide(panel: any, answer: Answer): DataFrame[] {
  const [time, ...rest] = answer.meta;
  const label = rest.find((c) => kind(c.type) === FieldType.string);
  const numbers = rest.filter((c) => kind(c.type) === FieldType.number);
  const times = [...new Set(answer.data.map((row) => value(row[time.name], FieldType.time) as number))].sort((a, b) => a - b);
  const at = new Map(times.map((t, i) => [t, i]));
  const series = new Map<string, Array<number | null>>();
  for (const row of answer.data) {
    for (const number of numbers) {
      const name = label ? String(row[label.name]) : number.name;
      if (!series.has(name)) series.set(name, times.map(() => null));
      series.get(name)![at.get(value(row[time.name], FieldType.time) as number)!] = row[number.name] as number | null;
    }
  }
  const fields: Field[] = [finish({ name: 'time', type: FieldType.time, config: {}, values: times } as Field)];
  let index = 0;
  for (const [name, values] of [...series].sort()) {
    const config = { ...override(panel, name), displayName: name };
    const field = { name, type: FieldType.number, config, values, state: { seriesIndex: index++ } } as Field;
    fields.push(finish(field));
  }
  return [{ fields, length: times.length }];
}

function colour(panel: any, word: string): string {
  return panel.fieldConfig.defaults.mappings?.[0]?.options?.[word]?.color ?? '#5794F2';
}

function StateLines({ panel, answer, width, height }: any) {
  const hosts = [...new Set(answer.data.map((r: any) => r.host))].sort() as string[];
  const times = [...new Set(answer.data.map((r: any) => r.time))].sort() as string[];
  const of = new Map(answer.data.map((r: any) => [r.host + r.time, r.statement]));
  const left = 90, row = Math.max(4, (height - 24) / hosts.length), cell = (width - left) / times.length;
  return (
    <svg width={width} height={height} fontSize={11} fill="#ccc">
      {hosts.map((host, y) => (
        <g key={host}>
          <text x={0} y={(y + 0.7) * row}>{host}</text>
          {times.map((t, x) => (
            <rect key={t} x={left + x * cell} y={y * row + 1} width={cell + 0.3} height={row - 2} fill={colour(panel, of.get(host + t) as string)} />
          ))}
        </g>
      ))}
      <text x={left} y={height - 4}>{times[0]}</text>
      <text x={width} y={height - 4} textAnchor="end">{times[times.length - 1]}</text>
    </svg>
  );
}

function Bars({ panel, answer, width, height }: any) {
  const [first, ...rest] = answer.meta as Column[];
  const total = (r: any) => rest.reduce((s, c) => s + Number(r[c.name] ?? 0), 0);
  const most = Math.max(1, ...answer.data.map(total));
  const row = (height - 20) / Math.max(1, answer.data.length);
  return (
    <svg width={width} height={height} fontSize={12} fill="#ccc">
      {answer.data.map((r: any, y: number) => {
        let x = 110;
        return (
          <g key={y}>
            <text x={0} y={(y + 0.6) * row}>{String(r[first.name])}</text>
            {rest.map((c) => {
              const w = (Number(r[c.name] ?? 0) / most) * (width - 120);
              const fill = override(panel, c.name).color?.fixedColor ?? '#5794F2';
              const bar = <rect key={c.name} x={x} y={y * row + row * 0.2} width={w} height={row * 0.6} fill={fill} />;
              x += w;
              return bar;
            })}
          </g>
        );
      })}
    </svg>
  );
}

function Body({ panel, answer, width, height }: any) {
  if (typeof answer === 'string') return <div style={{ color: '#ff6666' }}>{answer}</div>;
  if (panel.type === 'text') return <pre style={{ whiteSpace: 'pre-wrap' }}>{panel.options.content}</pre>;
  if (!answer.data.length || answer.data.every((r: any) => Object.values(r).every((v) => v === null))) {
    return <div style={{ color: '#8e8e8e', textAlign: 'center', paddingTop: height / 3 }}>{panel.fieldConfig.defaults.noValue}</div>;
  }
  switch (panel.type) {
    case 'stat': {
      const field = frame(panel, answer).fields[0];
      const shown = field.display!(field.values[field.values.length - 1]);
      return <BigValue theme={theme} width={width} height={height} value={shown} colorMode={BigValueColorMode.Value} graphMode={BigValueGraphMode.None}
        justifyMode={BigValueJustifyMode.Center} textMode={BigValueTextMode.Value} />;
    }
    case 'timeseries':
      return <TimeSeries frames={wide(panel, answer)} width={width} height={height} timeRange={period(panel)} timeZone="utc" legend={panel.options.legend} options={{ tooltip: { mode: TooltipDisplayMode.None } }}>{() => null}</TimeSeries>;
    case 'state-timeline': return <StateLines panel={panel} answer={answer} width={width} height={height} />;
    case 'barchart': return <Bars panel={panel} answer={answer} width={width} height={height} />;
    default: return <Table data={frame(panel, answer)} width={width} height={height} />;
  }
}

function Dashboard() {
  const bottom = Math.max(...input.dashboard.panels.map((p: any) => p.gridPos.y + p.gridPos.h));
  return (
    <ThemeContext.Provider value={theme}>
      <h2 style={{ margin: 8 }}>{input.dashboard.title}: {input.dashboard.description}</h2>
      <div style={{ position: 'relative', width: WIDTH, height: bottom * CELL }}>
        {input.dashboard.panels.map((panel: any) => {
          const { x, y, w, h } = panel.gridPos;
          const [width, height] = [(w * WIDTH) / 24 - 8, h * CELL - 8];
          return (
            <div key={panel.id} style={{ position: 'absolute', left: (x * WIDTH) / 24, top: y * CELL, width, height, background: '#181b1f', border: '1px solid #2c3235' }}>
              <div style={{ padding: '4px 8px', fontSize: 13, fontWeight: 500 }}>{panel.title}</div>
              <div style={{ padding: '0 8px' }}>
                <Body panel={panel} answer={input.answers[panel.id] ?? { meta: [], data: [] }} width={width - 16} height={height - 34} />
              </div>
            </div>
          );
        })}
      </div>
    </ThemeContext.Provider>
  );
}

createRoot(document.getElementById('root')!).render(<Dashboard />);
