using Rpal.Linux;

namespace Rpal.Hosting.Loading;

/// <summary>A BPF program under construction: jumps name labels, which lie further down.</summary>
internal sealed class FilterProgram
{
    private const string Next = "";

    private readonly List<(ushort Code, uint Operand, string Yes, string No)> _instructions = [];
    private readonly Dictionary<string, int> _labels = [];

    public FilterProgram Label(string name)
    {
        _labels.Add(name, _instructions.Count);
        return this;
    }

    public FilterProgram Load(uint offset) => Add(BpfCode.LoadWordAbsolute, offset);

    public FilterProgram Return(uint what) => Add(BpfCode.Return, what);

    /// <summary>Compares the word loaded last. A label left out is the next instruction.</summary>
    public FilterProgram Jump(ushort code, uint operand, string yes = Next, string no = Next) => Add(code, operand, yes, no);

    public SockFilter[] Build() =>
        [.. _instructions.Select((f, i) => new SockFilter(f.Code, f.Operand, Distance(i, f.Yes), Distance(i, f.No)))];

    private FilterProgram Add(ushort code, uint operand, string yes = Next, string no = Next)
    {
        _instructions.Add((code, operand, yes, no));
        return this;
    }

    private byte Distance(int from, string label) => label == Next ? (byte)0 : checked((byte)(_labels[label] - from - 1));
}
