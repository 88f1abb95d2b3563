using System.Globalization;
using System.Text;
using System.Text.Json;
using Rpal.Hosting;
using Rpal.MachineHost;

// MODE [--seconds N] [--seed S] [--inject EVERY] [--with churn,storm]; MODE: calls, registers, all, or soak = all of it.
string mode = args[0];
string Option(string name, string otherwise) => Array.IndexOf(args, name) is >= 0 and int i && i + 1 < args.Length ? args[i + 1] : otherwise;
double seconds = double.Parse(Option("--seconds", mode == "soak" ? "180" : "2"), CultureInfo.InvariantCulture);
var run = new Run(
    mode == "soak" ? "all" : mode,
    seconds,
    int.Parse(Option("--seed", "1"), CultureInfo.InvariantCulture),
    uint.Parse(Option("--inject", "0"), CultureInfo.InvariantCulture),
    Option("--with", mode == "soak" ? "churn,storm" : "none"));
Dictionary<string, object> report = await run.Execute();
Console.WriteLine(JsonSerializer.Serialize(report));
return (bool)report["ok"] ? 0 : 1;

internal sealed class Output : IFamilyObserver
{
    public void Started(string member, int processId, long slotAddress)
    {
    }

    public void Line(string member, bool isError, ReadOnlySpan<byte> line) => Console.Error.WriteLine($"{member} | {Encoding.UTF8.GetString(line)}");

    public void Ended(string member, MemberExit exit, TimeSpan ran)
    {
        if (exit.ExitCode != 0)
        {
            Console.Error.WriteLine($"{member} ended: {exit}");
        }
    }

    public void Notice(string member, string text) => Console.Error.WriteLine($"{member}: {text}");
}
