using System.Text;
using Iced.Intel;
using Rpal.Machine.Blocks;
using Rpal.Machine.Emit;

namespace Rpal.Machine.Tests;

/// <summary>The emitted bytes decoded again: offsets, labels and instructions, as in docs/machine-code.lst.</summary>
internal static class Listing
{
    /// <summary>Data at the end of the code.</summary>
    private const string DataLabel = "in_place_table";
    private const int DataBytes = 64;

    public static List<Instruction> Decode(MachineCode code)
    {
        int data = (int)(code.Labels[DataLabel] - FamilyLayout.CodeBase);
        List<Instruction> all = [];
        foreach ((int from, int to) in new[] { (0, data), (data + DataBytes, code.Bytes.Length) })
        {
            var decoder = Iced.Intel.Decoder.Create(64, new ByteArrayCodeReader(code.Bytes, from, to - from), (ulong)(FamilyLayout.CodeBase + from));
            while (decoder.IP < (ulong)(FamilyLayout.CodeBase + to))
            {
                decoder.Decode(out Instruction instruction);
                all.Add(instruction);
            }
        }

        return all;
    }

    public static string Format(MachineCode code)
    {
        ILookup<long, string> labels = code.Labels.Where(l => !l.Key.EndsWith(".outside", StringComparison.Ordinal)).ToLookup(l => l.Value, l => l.Key);
        var resolver = new Names(labels);
        var formatter = new IntelFormatter(resolver) { Options = { FirstOperandCharIndex = 10, SpaceAfterOperandSeparator = true, RipRelativeAddresses = true } };
        var text = new StringBuilder();
        var output = new StringOutput();
        foreach (Instruction instruction in Decode(code))
        {
            foreach (string label in labels[(long)instruction.IP].Order(StringComparer.Ordinal))
            {
                text.Append(label).Append(code.Points.Contains(label) ? ":                                ; point" : ":").Append('\n');
            }

            formatter.Format(instruction, output);
            text.Append($"{instruction.IP - (ulong)FamilyLayout.CodeBase:x4}  {output.ToStringAndReset()}".TrimEnd()).Append('\n');
        }

        return text.Append(Convert.ToHexStringLower(code.Bytes.AsSpan((int)(code.Labels[DataLabel] - FamilyLayout.CodeBase), DataBytes))).Append($"  {DataLabel}\n").ToString();
    }

    private sealed class Names(ILookup<long, string> labels) : ISymbolResolver
    {
        public bool TryGetSymbol(in Instruction instruction, int operand, int instructionOperand, ulong address, int addressSize, out SymbolResult symbol)
        {
            string? name = labels[(long)address].Order(StringComparer.Ordinal).FirstOrDefault();
            symbol = name is null ? default : new SymbolResult(address, name);
            return name is not null;
        }
    }
}
