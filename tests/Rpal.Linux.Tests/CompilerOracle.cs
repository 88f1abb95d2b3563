using System.Globalization;
using System.Text;

namespace Rpal.Linux.Tests;

/// <summary>Asks gcc and the kernel's headers what a C expression is worth.</summary>
internal static class CompilerOracle
{
    private static readonly TimeSpan s_compilerLimit = TimeSpan.FromSeconds(60);

    /// <summary>The values of the expressions; null for a macro that these headers do not have yet.</summary>
    /// <param name="includes">Header names without brackets.</param>
    /// <param name="expressions">A name starting with an upper-case letter and without any operator counts as a macro that may be
    /// missing; everything else must compile.</param>
    public static Dictionary<string, long?> Evaluate(IEnumerable<string> includes, IEnumerable<string> expressions)
    {
        string[] asked = expressions.Distinct().ToArray();
        StringBuilder source = new("#define _GNU_SOURCE\n#include <stdio.h>\n#include <stddef.h>\n");
        foreach (string header in includes)
        {
            source.Append("#include <").Append(header).Append(">\n");
        }

        source.Append("int main(void) {\n");
        for (int i = 0; i < asked.Length; i++)
        {
            bool mayBeMissing = IsMacroName(asked[i]);
            source.Append(mayBeMissing ? $"#ifdef {asked[i]}\n" : "")
                .Append($"printf(\"{i} %lld\\n\", (long long)({asked[i]}));\n")
                .Append(mayBeMissing ? "#endif\n" : "");
        }

        source.Append("}\n");
        Dictionary<string, long?> answers = asked.ToDictionary(e => e, _ => (long?)null);
        foreach (string line in CompileAndRun(source.ToString()).Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] pair = line.Split(' ');
            answers[asked[int.Parse(pair[0], CultureInfo.InvariantCulture)]] = long.Parse(pair[1], CultureInfo.InvariantCulture);
        }

        return answers;
    }

    // MEMBARRIER_CMD_* are enum members without macros of the same name.
    private static bool IsMacroName(string expression) =>
        expression.All(c => char.IsAsciiLetterOrDigit(c) || c == '_') && !expression.StartsWith("MEMBARRIER_", StringComparison.Ordinal);

    private static string CompileAndRun(string source)
    {
        string folder = Directory.CreateTempSubdirectory("rpal-layout-").FullName;
        try
        {
            string file = Path.Combine(folder, "ask.c");
            string program = Path.Combine(folder, "ask");
            File.WriteAllText(file, source);
            Run("gcc", "-w", "-o", program, file);
            return Run(program);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static string Run(string program, params string[] arguments)
    {
        ChildOutput r = Child.Run(s_compilerLimit, program, arguments);
        Assert.True(r.ExitCode == 0, $"{program} exited with {r.ExitCode}: {r.Error}");
        return r.Output;
    }
}
